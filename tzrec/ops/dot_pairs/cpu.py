"""Dot products between the vectors of a row, fast on CPU.

Three things make it fast. Embeddings and dense vector are written once, side by side and in autocast's type, where
`cat` and the casts around it write them three times. The pairs are taken from the flattened square by one
index_select, in float32 even under autocast: torch's kernel for two-byte types costs four times as much, casts
included. The gradient is spread over both triangles of the square, so that its product with the vectors is one bmm
instead of two and their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tzrec.ops.autocast import compute_type


def dot_pairs(parts: Sequence[Tensor], dim: int, num_passed: int) -> Tensor:
    """See `tzrec.ops.dot_pairs.reference`."""
    out: Tensor = _DotPairs.apply(dim, num_passed, compute_type(parts[-1]), *parts)  # type: ignore[no-untyped-call]
    return out


class _DotPairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dim: int, num_passed: int, dtype: torch.dtype, *parts: Tensor) -> Tensor:
        widths = [part.shape[1] for part in parts]
        x = parts[0].new_empty(len(parts[0]), sum(widths), dtype=dtype)  # (B, F * D)
        for columns, part in zip(x.split(widths, 1), parts, strict=True):
            columns.copy_(part)
        vectors = x.unflatten(1, (-1, dim))  # (B, F, D)
        fields = vectors.shape[1]
        row, column = torch.triu_indices(fields, fields, 1)
        square = torch.bmm(vectors, vectors.mT).flatten(1)  # (B, F * F)
        pairs = _to_float32(square).index_select(1, row * fields + column)
        out = torch.cat([pairs.to(dtype), x[:, : num_passed * dim]], 1)
        ctx.save_for_backward(vectors)
        ctx.parts = [(part.shape[1], part.dtype) for part in parts]
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (vectors,) = ctx.saved_tensors
        fields = vectors.shape[1]
        pairs = fields * (fields - 1) // 2
        row, column = torch.triu_indices(fields, fields, 1)
        pair_index = torch.zeros(fields, fields, dtype=torch.int64)
        pair_index[row, column] = pair_index[column, row] = torch.arange(pairs)
        square = grad.new_zeros(len(grad), fields, fields)  # of the sum over j of g_ij x_j, with g_ii = 0
        if pairs:
            spread = _to_float32(grad).index_select(1, pair_index.flatten()).to(grad.dtype)
            square = spread.view(-1, fields, fields)
            square.diagonal(dim1=1, dim2=2).zero_()
        x = torch.bmm(square, vectors).flatten(1)  # (B, F * D)
        x[:, : grad.shape[1] - pairs] += grad[:, pairs:]
        pieces = x.split([width for width, _ in ctx.parts], 1)
        return None, None, None, *(piece.to(dtype) for piece, (_, dtype) in zip(pieces, ctx.parts, strict=True))


def _to_float32(x: Tensor) -> Tensor:
    """Cast two-byte types to float32."""
    return x.float() if x.dtype.itemsize == 2 else x
