"""Speed and memory, measured side by side with the peers: python -m benchmarks."""
