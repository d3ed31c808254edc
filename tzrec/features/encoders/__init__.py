"""Encoders: from the values of one input to the Column of a feature."""
