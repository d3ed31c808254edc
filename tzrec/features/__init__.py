"""Features: raw Arrow columns are encoded as one Column of numpy arrays per feature."""
