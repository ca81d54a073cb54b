"""recmtl: multi-objective recommenders from click and conversion logs."""

__version__ = "0.1.0"
