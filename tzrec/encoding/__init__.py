"""`tzrec fg`: encode the features of a data set once and write them as Parquet."""
