"""Contestants, one per module. Each runs as its own process, in its library's environment."""
