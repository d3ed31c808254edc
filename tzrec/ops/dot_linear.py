"""A linear layer on the dot products between the vectors of a row, without taking the triangle of different pairs.

Taking n (n - 1) / 2 of n * n numbers by index costs more than what it saves: a gather forward, a scatter over zeros
backward, and both over the whole batch. Instead the layer's weight, which is small, is spread over the full square.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def dot_linear(x: Tensor, fields: int, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`y = W [x_i . x_j for i < j, first vectors of x] + b`.

    Args:
        x: `(B, F * D)`, the F vectors of each row side by side.
        fields: F.
        weight: `(out, F (F - 1) / 2 + V)`, with pairs in the order (0, 1), (0, 2) ... (1, 2) ..., and V the number of
            columns of `x`, counted from the first, that enter beside the dot products.
        bias: `(out,)`.

    Returns:
        `(B, out)`.
    """
    pairs = fields * (fields - 1) // 2
    vectors = x.unflatten(1, (fields, -1))  # (B, F, D)
    dots = torch.bmm(vectors, vectors.mT).flatten(1)  # (B, F * F)
    row, column = torch.triu_indices(fields, fields, 1, device=x.device)
    square = weight.new_zeros(len(weight), fields * fields)  # (out, F * F)
    square = square.index_copy(1, row * fields + column, weight[:, :pairs])
    direct = functional.linear(x[:, : weight.shape[1] - pairs], weight[:, pairs:], bias)  # (B, out)
    return torch.addmm(direct, dots, square.t())


def dot_linear_plain(x: Tensor, fields: int, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same by the triangle: the readable twin."""
    vectors = x.unflatten(1, (fields, -1))  # (B, F, D)
    row, column = torch.triu_indices(fields, fields, 1, device=x.device)
    dots = torch.bmm(vectors, vectors.mT)[:, row, column]  # (B, F (F - 1) / 2)
    taken = x[:, : weight.shape[1] - dots.shape[1]]
    return functional.linear(torch.cat([dots, taken], 1), weight, bias)
