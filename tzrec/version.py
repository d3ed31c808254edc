"""The version of this package, read by pyproject.toml, checkpoints and packages."""

__version__ = "0.1.0"
