"""How kernels are compiled: with one signature each, cached on disk, free of the GIL.

Importing numba takes half a second: only modules of kernels import this one, and only what meets text imports those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba import types

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Arrow's buffers are read-only to numpy, and numba takes a writable array where a read-only one is declared.
BYTES = types.Array(types.uint8, 1, "C", readonly=True)
LONGS = types.Array(types.int64, 1, "C", readonly=True)
INTS = types.Array(types.int32, 1, "C", readonly=True)
FLAGS = types.Array(types.boolean, 1, "C", readonly=True)
BYTES_OUT, LONGS_OUT, INTS_OUT, FLAGS_OUT = types.uint8[::1], types.int64[::1], types.int32[::1], types.boolean[::1]


def compiled(signature: Any) -> Callable[[Kernel], Kernel]:
    """numba.njit with one signature, so that importing loads machine code instead of compiling it."""

    def decorate(function: Kernel) -> Kernel:
        try:
            return numba.njit(signature, nogil=True, cache=True)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # neither this directory nor the user's cache can be written
            return numba.njit(signature, nogil=True)(function)  # type: ignore[no-any-return]

    return decorate
