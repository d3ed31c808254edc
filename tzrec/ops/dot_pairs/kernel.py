"""Compiled loops of `dot_pairs`: everything about a row happens while its vectors are in the cache.

Import this module on first use only: importing numba takes a third of a second. All sums are float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tzrec.ops.jit import jit
from tzrec.ops.vectors import FEW_LANES, LANES, fma, pointer, splat

_FLOATS = types.Array(types.float32, 2, "C", readonly=True)
_FLOATS_OUT, _HALVES_OUT = types.float32[:, ::1], types.uint16[:, ::1]
_HALVES = types.Array(types.uint16, 2, "C", readonly=True)


@intrinsic
def _dots(typing_context: Any, out: Any, to: Any, columns: Any, at: Any, stride: Any, x: Any, i: Any, dim: Any) -> Any:
    """`out[to + l] = sum over d < dim of x[i + d] columns[at + d stride + l]` for l < 16."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out_type, _, columns_type, _, _, x_type, _, _ = signature.args
        out, to, columns, at, stride, x, i, dim = arguments
        total = cgutils.alloca_once(builder, ir.VectorType(ir.FloatType(), LANES))
        builder.store(splat(builder, ir.FloatType()(0.0), LANES), total)
        data = context.make_array(x_type)(context, builder, x).data
        with cgutils.for_range(builder, dim) as loop:
            source = pointer(
                context, builder, columns_type, columns, builder.add(at, builder.mul(loop.index, stride)), LANES
            )
            number = splat(builder, builder.load(builder.gep(data, [builder.add(i, loop.index)])), LANES)
            builder.store(fma(builder, builder.load(source, align=4), number, builder.load(total)), total)
        builder.store(builder.load(total), pointer(context, builder, out_type, out, to, LANES), align=4)
        return context.get_dummy_value()

    return types.void(out, to, columns, at, stride, x, i, dim), generate


def _spreader(lanes: int) -> Any:
    """Gradient of the dots of vector i with the `count` vectors after it, in `lanes` of its columns."""

    @intrinsic
    def spread(typing_context: Any, dx: Any, x: Any, at: Any, gradient: Any, pair: Any, count: Any, dim: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            dx_type, x_type, _, gradient_type, *_ = signature.args
            dx, x, at, gradient, pair, count, dim = arguments
            own = pointer(context, builder, dx_type, dx, at, lanes)
            vector = builder.load(pointer(context, builder, x_type, x, at, lanes), align=4)
            total = cgutils.alloca_once(builder, vector.type)
            builder.store(builder.load(own, align=4), total)
            data = context.make_array(gradient_type)(context, builder, gradient).data
            with cgutils.for_range(builder, count) as loop:
                g = splat(builder, builder.load(builder.gep(data, [builder.add(pair, loop.index)])), lanes)
                next_one = builder.add(loop.index, ir.Constant(loop.index.type, 1))
                other = builder.add(at, builder.mul(next_one, dim))
                other_x = builder.load(pointer(context, builder, x_type, x, other, lanes), align=4)
                builder.store(fma(builder, g, other_x, builder.load(total)), total)
                other_dx = pointer(context, builder, dx_type, dx, other, lanes)
                builder.store(fma(builder, g, vector, builder.load(other_dx, align=4)), other_dx, align=4)
            builder.store(builder.load(total), own, align=4)
            return context.get_dummy_value()

        return types.void(dx, x, at, gradient, pair, count, dim), generate

    return spread


_spread, _spread_few = _spreader(LANES), _spreader(FEW_LANES)


@intrinsic
def _transpose(typing_context: Any, x: Any, columns: Any, fields: Any, dim: Any, stride: Any) -> Any:
    """`columns[d stride + f] = x[f dim + d]`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_type, columns_type, *_ = signature.args
        x, columns, fields, dim, stride = arguments
        source = context.make_array(x_type)(context, builder, x).data
        target = context.make_array(columns_type)(context, builder, columns).data
        with cgutils.for_range(builder, fields) as field, cgutils.for_range(builder, dim) as d:
            number = builder.load(builder.gep(source, [builder.add(builder.mul(field.index, dim), d.index)]))
            builder.store(number, builder.gep(target, [builder.add(builder.mul(d.index, stride), field.index)]))
        return context.get_dummy_value()

    return types.void(x, columns, fields, dim, stride), generate


@jit(types.void(_FLOATS, _FLOATS, types.int64, types.int64, types.int64, types.int64, _FLOATS_OUT, _HALVES_OUT))
def forward(head, tail, dim, num_passed, begin, end, out, out_halves):  # type: ignore[no-untyped-def]
    """Compute some rows of the output.

    Args:
        head: first vectors of each row, `(B, n * D)`.
        tail: the other vectors.
        dim: D.
        num_passed: see `reference`.
        begin: first row.
        end: row after the last.
        out: the output, or without columns if it is bfloat16.
        out_halves: bits of the output if it is bfloat16, or without columns.
    """
    width = head.shape[1] + tail.shape[1]
    fields = width // dim
    num_pairs = fields * (fields - 1) // 2
    size, stride = num_pairs + num_passed * dim, fields + LANES
    x, columns = np.empty(width, np.float32), np.zeros(dim * stride, np.float32)
    row = np.empty(size + LANES, np.float32)
    bits = row.view(np.uint32)
    for b in range(begin, end):
        x[: head.shape[1]] = head[b]
        x[head.shape[1] :] = tail[b]
        _transpose(x, columns, fields, dim, stride)
        pair = 0
        for i in range(fields - 1):
            for j in range(i + 1, fields, LANES):
                _dots(row, pair + j - i - 1, columns, j, stride, x, i * dim, dim)
            pair += fields - 1 - i
        row[num_pairs:size] = x[: num_passed * dim]
        if out.shape[1]:
            out[b] = row[:size]
        else:
            for k in range(size):
                u = bits[k]
                is_nan = (u & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
                even = u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))
                out_halves[b, k] = np.uint16(0x7FC0) if is_nan else np.uint16(even >> np.uint32(16))


@jit(
    types.void(
        *[_FLOATS, _FLOATS, types.int64, types.int64, types.int64, types.int64],
        *[_FLOATS, _HALVES, _FLOATS_OUT, _FLOATS_OUT],
    )
)
def backward(head, tail, dim, num_passed, begin, end, grad, grad_halves, d_head, d_tail):  # type: ignore[no-untyped-def]
    """Compute some rows of the gradients of head and tail; arguments as those of `forward`."""
    width = head.shape[1] + tail.shape[1]
    fields = width // dim
    num_pairs = fields * (fields - 1) // 2
    size = num_pairs + num_passed * dim
    x, dx, g = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(size, np.float32)
    bits = g.view(np.uint32)
    num_wide = dim - dim % LANES
    for b in range(begin, end):
        x[: head.shape[1]] = head[b]
        x[head.shape[1] :] = tail[b]
        if grad.shape[1]:
            g[:] = grad[b]
        else:
            for k in range(size):
                bits[k] = np.uint32(grad_halves[b, k]) << np.uint32(16)
        dx[: num_passed * dim] = g[num_pairs:]
        dx[num_passed * dim :] = 0
        pair = 0
        for i in range(fields - 1):
            count = fields - 1 - i
            for d in range(0, num_wide, LANES):
                _spread(dx, x, i * dim + d, g, pair, count, dim)
            for d in range(num_wide, dim, FEW_LANES):
                _spread_few(dx, x, i * dim + d, g, pair, count, dim)
            pair += count
        d_head[b] = dx[: head.shape[1]]
        d_tail[b] = dx[head.shape[1] :]
