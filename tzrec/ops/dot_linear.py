"""A linear layer on the dot products between the vectors of a row.

Three things make it fast: the pairs are taken from the flattened square by one index_select, which is a copy forward
and an addition backward (indexing with two index tensors is neither); they are not put side by side with the vectors,
whose product is added to theirs instead; and the vectors are the input as it comes. Measured on two cores with 27
vectors of 16, 512 outputs and a batch of 8192, forward and backward: 114 ms in FP32 and 43 ms in BF16, against 129 and
53 of the readable twin. Multiplying the whole square by a weight spread over it, which needs no index at all, takes 160
and 47 ms: at this width, twice as many columns cost more than the copy.
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
    row, column = torch.triu_indices(fields, fields, 1, device=x.device)
    dots = torch.bmm(vectors, vectors.mT).flatten(1).index_select(1, row * fields + column)  # (B, pairs)
    direct = functional.linear(x[:, : weight.shape[1] - pairs], weight[:, pairs:], bias)  # (B, out)
    return torch.addmm(direct, dots, weight[:, :pairs].t())


def dot_linear_plain(x: Tensor, fields: int, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same as it is written: the readable twin."""
    vectors = x.unflatten(1, (fields, -1))  # (B, F, D)
    row, column = torch.triu_indices(fields, fields, 1, device=x.device)
    dots = torch.bmm(vectors, vectors.mT)[:, row, column]  # (B, F (F - 1) / 2)
    taken = x[:, : weight.shape[1] - dots.shape[1]]
    return functional.linear(torch.cat([dots, taken], 1), weight, bias)
