"""Tools for TDM: build a tree of items, cluster it by learned embeddings, and search it."""
