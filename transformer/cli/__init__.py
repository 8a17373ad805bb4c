"""Command-line programs: flags, and a module for each command that needs its own."""
