"""Fault injection: `make chaos`."""
