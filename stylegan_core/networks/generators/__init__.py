"""Generators: z and ws to pictures. One file an architecture."""
