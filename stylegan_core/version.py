"""The version, which every file of this package's making carries; pyproject.toml says the same."""

__version__ = "0.2.0"
