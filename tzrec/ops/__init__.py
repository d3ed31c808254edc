"""Tensor functions; those with a fast path have a reference in plain torch beside it (see `selection`)."""
