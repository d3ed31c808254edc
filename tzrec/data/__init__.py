"""Readers, batches, the loader, writers and synthetic data."""
