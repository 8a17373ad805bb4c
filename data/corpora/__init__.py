"""Corpora that are built in: drawn from grammars, or read from installed Python source."""
