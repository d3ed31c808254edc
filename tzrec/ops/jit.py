"""Compilation of kernels: one signature each, cached on disk, without the GIL.

Importing numba takes half a second, so only modules of kernels import this one, and these are imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba import types
from numba.extending import intrinsic

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Arrow's buffers are read-only in numpy. Numba accepts a writable array where a read-only one is declared.
UINT8S = types.Array(types.uint8, 1, "C", readonly=True)
INT64S = types.Array(types.int64, 1, "C", readonly=True)
INT32S = types.Array(types.int32, 1, "C", readonly=True)
BOOLS = types.Array(types.boolean, 1, "C", readonly=True)
UINT8S_OUT, INT64S_OUT, INT32S_OUT, BOOLS_OUT = types.uint8[::1], types.int64[::1], types.int32[::1], types.boolean[::1]


def jit(signature: Any) -> Callable[[Kernel], Kernel]:
    """Decorate with numba.njit for one signature, so that importing loads machine code instead of compiling."""

    def decorate(function: Kernel) -> Kernel:
        try:
            return numba.njit(signature, nogil=True, cache=True)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # neither this directory nor the user's cache is writable
            return numba.njit(signature, nogil=True)(function)  # type: ignore[no-any-return]

    return decorate


@intrinsic
def load64(typing_context: Any, data: Any, at: Any) -> Any:
    """Load eight bytes of uint8 `data` from `at` on as one little-endian number, without alignment or bounds check."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.gep(array.data, [arguments[1]])
        number = context.get_value_type(types.uint64).as_pointer()
        return builder.load(builder.bitcast(pointer, number), align=1)

    return types.uint64(data, at), generate
