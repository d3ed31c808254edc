"""Tuning: the search for better values of the fields of a config."""
