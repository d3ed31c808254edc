"""Operations of LLVM on vectors of floats, for compiled kernels: what numba's loops do not become by themselves.

Importing numba takes a third of a second, so only modules of kernels import this one, and these are imported on first
use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 16
"""Floats of a cache line, and of a register with AVX-512."""
FEW_LANES = 4
"""Floats of a narrow vector, for the rest of a row."""

Value = Any
"""A number, vector or pointer of the program that is generated."""


def pointer(context: Any, builder: Any, array_type: Any, array: Value, at: Value, lanes: int) -> Value:
    """Pointer to `lanes` floats of an array from `at` on; loads and stores need `align=4`."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), ir.VectorType(ir.FloatType(), lanes).as_pointer())


def splat(builder: Any, number: Value, lanes: int) -> Value:
    """Vector of `lanes` equal numbers."""
    lane = ir.IntType(32)
    empty = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    one = builder.insert_element(empty, number, lane(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(lane, lanes), [0] * lanes))


def call(builder: Any, name: str, suffix: str, arguments: Sequence[Value]) -> Value:
    """Call an operation on vectors of one type, e.g. `llvm.fma` with the suffix `f32` of their elements."""
    kind = arguments[0].type
    function_type = ir.FunctionType(kind, [kind] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, function_type, f"{name}.v{kind.count}{suffix}")
    return builder.call(function, arguments)


def fma(builder: Any, a: Value, b: Value, c: Value) -> Value:
    """`a * b + c` of vectors of floats, in one rounding."""
    return call(builder, "llvm.fma", "f32", [a, b, c])
