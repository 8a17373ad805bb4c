"""The programs: flags, and one module for each command."""
