"""What `python -m benchmarks.gpu` measures of a card."""
