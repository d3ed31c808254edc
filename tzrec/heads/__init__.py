"""A head is one task: its loss, its outputs, its metrics."""
