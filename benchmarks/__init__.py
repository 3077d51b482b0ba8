"""Speed and memory tables: `python -m benchmarks.bench`."""
