"""Encoding of data sets, for `tzrec fg`: features are encoded once and stored as Parquet."""
