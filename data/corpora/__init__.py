"""Built-in corpora, drawn from grammars or read from installed Python source."""
