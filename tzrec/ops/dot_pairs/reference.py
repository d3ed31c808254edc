"""Dot products between the vectors of a row in plain torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def dot_pairs(parts: Sequence[Tensor], dim: int, num_passed: int) -> Tensor:
    """`[x_i . x_j for i < j] + [x_0 ... x_(num_passed - 1)]` of the vectors x of each row, in autocast's type.

    Args:
        parts: `(B, n * D)` each, side by side the F vectors of a row.
        dim: D.
        num_passed: number of vectors, from the first, that follow the dot products.

    Returns:
        `(B, F (F - 1) / 2 + num_passed * D)`, pairs in the order (0, 1), (0, 2) ... (1, 2) ...
    """
    x = torch.cat([part.to(parts[-1].dtype) for part in parts], 1)
    vectors = x.unflatten(1, (-1, dim))  # (B, F, D)
    row, column = torch.triu_indices(vectors.shape[1], vectors.shape[1], 1, device=x.device)
    dots = torch.bmm(vectors, vectors.mT)[:, row, column]  # (B, F (F - 1) / 2)
    return torch.cat([dots, x[:, : num_passed * dim].to(dots.dtype)], 1)
