"""Paths of a run: local ones, and URLs of stores such as S3, which fsspec reads and writes."""
