"""Heads: each is one task with its losses, outputs and metrics."""
