"""Increments: which files are as they were, which days of the examples are to be written, and why."""
