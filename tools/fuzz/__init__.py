"""Thousands of damaged and hostile variants of every small checkpoint; see __main__."""
