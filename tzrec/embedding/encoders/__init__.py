"""Sequence encoders: one file per encoder."""
