"""Encoders: portraits to codes."""
