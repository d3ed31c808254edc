"""Embeddings of a batch, and the feature groups that a model reads."""
