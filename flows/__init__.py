"""Prefect flows over `recmtl.pipeline`: thin verbs, nothing here decides about data."""
