"""Measures speed, memory and scores side by side with other libraries: python -m benchmarks."""
