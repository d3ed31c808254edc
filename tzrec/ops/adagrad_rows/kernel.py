"""Compiled loop of `adagrad_rows`: ids are sorted, the gradients of a row summed, and the row is updated, in one pass.

Import this module on first use only: importing numba takes a third of a second. The arithmetic is that of fbgemm's
kernel, bit for bit: sums of squares in one rounding, the quotient in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tzrec.ops.jit import INT32S_OUT, INT64S, jit
from tzrec.ops.vectors import FEW_LANES, LANES, call, fma, pointer, splat

_FLOATS = types.Array(types.float32, 1, "C", readonly=True)
_FLOATS_OUT = types.float32[::1]
_JOBS = types.Array(types.int64, 2, "C", readonly=True)
_AHEAD = 12  # lookups between a prefetch and its use


def _adder(lanes: int) -> Any:
    """`total[i : i + lanes] += scale * gradient[at : at + lanes]`, in one rounding."""

    @intrinsic
    def add(typing_context: Any, total: Any, i: Any, gradient: Any, at: Any, scale: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            total_type, _, gradient_type, _, _ = signature.args
            into = pointer(context, builder, total_type, arguments[0], arguments[1], lanes)
            source = pointer(context, builder, gradient_type, arguments[2], arguments[3], lanes)
            scaled = fma(
                builder, builder.load(source, align=4), splat(builder, arguments[4], lanes), builder.load(into, align=4)
            )
            builder.store(scaled, into, align=4)
            return context.get_dummy_value()

        return types.void(total, i, gradient, at, types.float32), generate

    return add


def _updater(lanes: int) -> Any:
    """Update of `lanes` values of a row from `at` on with the gradient `total[i : i + lanes]`."""

    @intrinsic
    def update(typing_context: Any, weights: Any, sums: Any, at: Any, total: Any, i: Any, rate: Any, eps: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights_type, sums_type, _, total_type, *_ = signature.args
            doubles = ir.VectorType(ir.DoubleType(), lanes)
            weight = pointer(context, builder, weights_type, arguments[0], arguments[2], lanes)
            square = pointer(context, builder, sums_type, arguments[1], arguments[2], lanes)
            g = builder.load(pointer(context, builder, total_type, arguments[3], arguments[4], lanes), align=4)
            s = fma(builder, g, g, builder.load(square, align=4))
            builder.store(s, square, align=4)
            root = call(builder, "llvm.sqrt", "f64", [builder.fpext(s, doubles)])
            below = builder.fadd(root, splat(builder, arguments[6], lanes))
            above = builder.fpext(builder.fmul(g, splat(builder, arguments[5], lanes)), doubles)
            old = builder.fpext(builder.load(weight, align=4), doubles)
            new = builder.fsub(old, builder.fdiv(above, below))
            builder.store(builder.fptrunc(new, g.type), weight, align=4)
            return context.get_dummy_value()

        return types.void(weights, sums, at, total, i, types.float32, types.float64), generate

    return update


@intrinsic
def _prefetch(typing_context: Any, array: Any, at: Any) -> Any:
    """Load the cache line of `array[at]` before it is needed."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        builder.call(function, [pointer, number(1), number(3), number(1)])  # to be written, of long use, data
        return context.get_dummy_value()

    return types.void(array, at), generate


_add, _add_few = _adder(LANES), _adder(FEW_LANES)
_update, _update_few = _updater(LANES), _updater(FEW_LANES)


@jit(types.void(INT32S_OUT, INT32S_OUT, types.int64, types.int64, INT32S_OUT, INT32S_OUT))
def _sort(ids, places, num, largest, spare_ids, spare_places):  # type: ignore[no-untyped-def]
    """Sort ids and their places by the ids, in place; equal ids keep their order. A radix sort."""
    bits = 11 if num > 1024 else 8
    size = 1 << bits
    counts = np.empty(size, np.int32)
    shift = 0
    while largest >> shift:
        counts[:] = 0
        for i in range(num):
            counts[(ids[i] >> shift) & (size - 1)] += 1
        before = 0
        for digit in range(size):
            count = counts[digit]
            counts[digit] = before
            before += count
        for i in range(num):
            digit = (ids[i] >> shift) & (size - 1)
            to = counts[digit]
            counts[digit] = to + 1
            spare_ids[to], spare_places[to] = ids[i], places[i]
        ids[:num] = spare_ids[:num]
        places[:num] = spare_places[:num]
        shift += bits


@jit(
    types.void(
        *[_FLOATS_OUT, _FLOATS_OUT, _FLOATS, INT64S, INT64S, _FLOATS],
        *[_JOBS, types.int64, types.int64, types.boolean, types.float32, types.float64],
    )
)
def update_rows(  # type: ignore[no-untyped-def]
    weights, sums, gradient, ids, offsets, scales, jobs, batch_size, stride, is_pooled, rate, eps
):
    """Update the rows of some tables.

    Args:
        weights: see `Tables`.
        sums: see `Tables`.
        gradient: flat, rows of `stride` floats.
        ids: see `Lookups`.
        offsets: see `Lookups`.
        scales: see `Lookups`; empty for 1.
        jobs: `(J, 7)`: first feature, feature after the last, start of the table, first column, width, and `part` of
            `parts`: the rows of the table that are `part` modulo `parts`.
        batch_size: B.
        stride: see `gradient`.
        is_pooled: see `Lookups`.
        rate: learning rate.
        eps: term of the denominator.
    """
    most = 0
    for j in range(len(jobs)):
        most = max(most, offsets[jobs[j, 1] * batch_size] - offsets[jobs[j, 0] * batch_size])
    job_ids, places = np.empty(most, np.int32), np.empty(most, np.int32)
    spare_ids, spare_places = np.empty(most, np.int32), np.empty(most, np.int32)
    sources, factors = np.empty(most, np.int64), np.empty(most, np.float32)
    for j in range(len(jobs)):
        first, stop, start, column, width, part, parts = jobs[j]
        num, largest = 0, 0
        for feature in range(first, stop):
            for row in range(batch_size):
                at = feature * batch_size + row
                for k in range(offsets[at], offsets[at + 1]):
                    if parts == 1 or ids[k] % parts == part:
                        job_ids[num], places[num] = ids[k], num
                        largest = max(largest, ids[k])
                        pooled_from = row * stride + column + (feature - first) * width
                        sources[num] = pooled_from if is_pooled else k * stride
                        factors[num] = scales[k] if len(scales) else np.float32(1)
                        num += 1
        _sort(job_ids, places, num, largest, spare_ids, spare_places)
        total = np.empty(width, np.float32)
        num_wide = width - width % LANES
        i = 0
        while i < num:
            row = np.int64(job_ids[i])
            total[:] = 0
            while i < num and job_ids[i] == row:
                if i + _AHEAD < num:
                    ahead = start + np.int64(job_ids[i + _AHEAD]) * width
                    _prefetch(weights, ahead)
                    _prefetch(sums, ahead)
                    _prefetch(gradient, sources[places[i + _AHEAD]])
                source, factor = sources[places[i]], factors[places[i]]
                for d in range(0, num_wide, LANES):
                    _add(total, d, gradient, source + d, factor)
                for d in range(num_wide, width, FEW_LANES):
                    _add_few(total, d, gradient, source + d, factor)
                i += 1
            at = start + row * width
            for d in range(0, num_wide, LANES):
                _update(weights, sums, at + d, total, d, rate, eps)
            for d in range(num_wide, width, FEW_LANES):
                _update_few(weights, sums, at + d, total, d, rate, eps)
