"""Converters: each turns one published file into one embedded asset, once."""
