"""Synthetic data for any config: cells, sequences, labels and files."""

from tzrec.data.synthetic.item_tables import make_tables
from tzrec.data.synthetic.table import data_extension, make_data, make_table

__all__ = ["data_extension", "make_data", "make_table", "make_tables"]
