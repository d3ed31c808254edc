"""How kernels are compiled: with one signature each, cached on disk, free of the GIL.

Importing numba takes half a second: only modules of kernels import this one, and only what meets text imports those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba import types
from numba.extending import intrinsic

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


@intrinsic
def load64(typing_context: Any, data: Any, at: Any) -> Any:
    """Eight bytes of uint8 `data` from `at` on as one number, the first byte lowest; they need not be aligned.

    The caller sees to it that they are there.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        number = context.get_value_type(types.uint64).as_pointer()
        return builder.load(builder.bitcast(place, number), align=1)

    return types.uint64(data, at), generate
