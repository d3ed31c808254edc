"""Factorization machine: all pairwise products of the vectors of a row in linear time."""

from __future__ import annotations

import torch


def factorization_machine(vectors: torch.Tensor) -> torch.Tensor:
    """`sum_{i < j} v_i * v_j = ((sum_i v_i)^2 - sum_i v_i^2) / 2`, elementwise.

    Rendle, Factorization Machines, ICDM 2010, equation 5.

    Args:
        vectors: `(B, F, D)`.

    Returns:
        `(B, D)`; its sum over D is the sum of the dot products of all pairs.
    """
    return 0.5 * (vectors.sum(1).square() - vectors.square().sum(1))
