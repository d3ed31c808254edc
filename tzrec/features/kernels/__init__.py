"""Kernels over Arrow buffers, compiled with numba and without the GIL."""
