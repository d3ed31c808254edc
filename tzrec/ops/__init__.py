"""Tensor functions: each fast path beside a readable twin."""
