"""Rates of earlier days: counted from the examples into a state a day, joined to rows of that day."""
