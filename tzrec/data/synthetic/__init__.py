"""Synthetic data for any config: cells, sequences, labels and files."""

from tzrec.data.synthetic.table import make_data, make_table

__all__ = ["make_data", "make_table"]
