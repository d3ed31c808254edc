"""Compiled kernels over Arrow buffers (numba, nogil)."""
