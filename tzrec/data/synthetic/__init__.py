"""Made-up data for any config: what cells hold, how sequences are made of them, labels, files."""

from tzrec.data.synthetic.table import make_data, make_table

__all__ = ["make_data", "make_table"]
