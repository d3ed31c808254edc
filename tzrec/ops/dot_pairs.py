"""The dot products between the vectors of a row, and what enters the next layer beside them: DLRM's interaction.

On the CPU four things make it fast. Embeddings and dense vector are written once, side by side and in autocast's type,
where `cat` and the casts around it write them three times. The pairs are taken from the flattened square by one
index_select, in float32 even under autocast: torch's kernel for two-byte types costs four times as much, casts
included. The gradient is spread over both triangles of the square, so that its product with the vectors is one bmm
instead of two and their sum. And the next layer is an ordinary one, whose ReLU is fused into its product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tzrec.ops.autocast import compute_type


def dot_pairs(parts: Sequence[Tensor], dim: int, passed: int) -> Tensor:
    """`[x_i . x_j for i < j] + [x_0 ... x_(passed - 1)]` of the vectors x of each row, in autocast's type.

    Args:
        parts: `(B, n * D)` each, side by side the F vectors of a row.
        dim: D.
        passed: how many of the vectors, from the first, follow the dot products.

    Returns:
        `(B, F (F - 1) / 2 + passed * D)`, pairs in the order (0, 1), (0, 2) ... (1, 2) ...
    """
    if parts[0].device.type != "cpu" or torch.compiler.is_compiling():
        return dot_pairs_plain(parts, dim, passed)
    out: Tensor = _DotPairs.apply(dim, passed, compute_type(parts[-1]), *parts)  # type: ignore[no-untyped-call]
    return out


def dot_pairs_plain(parts: Sequence[Tensor], dim: int, passed: int) -> Tensor:
    """The same as it is written: the readable twin, and what is exported."""
    x = torch.cat([part.to(parts[-1].dtype) for part in parts], 1)
    vectors = x.unflatten(1, (-1, dim))  # (B, F, D)
    row, column = torch.triu_indices(vectors.shape[1], vectors.shape[1], 1, device=x.device)
    dots = torch.bmm(vectors, vectors.mT)[:, row, column]  # (B, F (F - 1) / 2)
    return torch.cat([dots, x[:, : passed * dim].to(dots.dtype)], 1)


class _DotPairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dim: int, passed: int, dtype: torch.dtype, *parts: Tensor) -> Tensor:
        widths = [part.shape[1] for part in parts]
        x = parts[0].new_empty(len(parts[0]), sum(widths), dtype=dtype)  # (B, F * D)
        for place, part in zip(x.split(widths, 1), parts, strict=True):
            place.copy_(part)
        vectors = x.unflatten(1, (-1, dim))  # (B, F, D)
        fields = vectors.shape[1]
        row, column = torch.triu_indices(fields, fields, 1)
        square = torch.bmm(vectors, vectors.mT).flatten(1)  # (B, F * F)
        pairs = _wide(square).index_select(1, row * fields + column)
        out = torch.cat([pairs.to(dtype), x[:, : passed * dim]], 1)
        ctx.save_for_backward(vectors)
        ctx.parts = [(part.shape[1], part.dtype) for part in parts]
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (vectors,) = ctx.saved_tensors
        fields = vectors.shape[1]
        pairs = fields * (fields - 1) // 2
        row, column = torch.triu_indices(fields, fields, 1)
        place = torch.zeros(fields, fields, dtype=torch.int64)
        place[row, column] = place[column, row] = torch.arange(pairs)
        square = grad.new_zeros(len(grad), fields, fields)  # of the sum over j of g_ij x_j, with g_ii = 0
        if pairs:
            spread = _wide(grad).index_select(1, place.flatten()).to(grad.dtype)
            square = spread.view(-1, fields, fields)
            square.diagonal(dim1=1, dim2=2).zero_()
        x = torch.bmm(square, vectors).flatten(1)  # (B, F * D)
        x[:, : grad.shape[1] - pairs] += grad[:, pairs:]
        pieces = x.split([width for width, _ in ctx.parts], 1)
        return None, None, None, *(piece.to(dtype) for piece, (_, dtype) in zip(pieces, ctx.parts, strict=True))


def _wide(x: Tensor) -> Tensor:
    """Two-byte types as float32."""
    return x.float() if x.dtype.itemsize == 2 else x
