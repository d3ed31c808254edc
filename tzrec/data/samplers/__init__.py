"""Samplers: rows of negatives for a batch, drawn from tables of nodes and edges in this process."""
