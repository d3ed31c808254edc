"""Embedding tables: layout, initialization, sharding, lookup kernels and the optimizers that update their rows."""
