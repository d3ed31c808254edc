"""GradientWatch: check of the gradients of a step before any parameter is updated with them.

A gradient that is not finite, or whose square is not, would leave optimizer state that no later step repairs. So the
norm of all gradients is bounded; where it is not, the values are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from tzrec.optim.dense import DenseOptimizer
from tzrec.tables.sparse_optimizer import SparseOptimizer

LARGEST_NORM = 2.0**50
"""Largest norm of gradients: with it the squares of sums over 2**27 rows of a table still fit into float32."""


class GradientWatch:
    """Gradients of the dense parameters, and of the vectors that the tables returned, after a backward pass.

    A gradient that is clipped may have any finite value. With a loss scale, an overflow is left to the loss scale.

    Args:
        dense: optimizer of the dense parameters.
        sparse: optimizer of the tables.
    """

    def __init__(self, dense: DenseOptimizer, sparse: SparseOptimizer) -> None:
        self._dense, self._sparse = dense, sparse

    def problems(self) -> list[str]:
        """Describe each gradient of this rank that must not be applied."""
        scale = self._dense.scale
        divisor = scale.value if scale else 1.0
        return [
            *_problems(self._dense.gradients(), self._dense.is_clipped, divisor, is_overflow_handled=scale is not None),
            *_problems(self._sparse.gradients(), self._sparse.is_clipped),
        ]


def _problems(
    gradients: Sequence[tuple[str, Tensor]], is_clipped: bool, divisor: float = 1.0, is_overflow_handled: bool = False
) -> list[str]:
    """List the gradients that must not be applied, each with its largest value."""
    if _norm(gradient for _, gradient in gradients) / divisor <= LARGEST_NORM:  # False for NaN
        return []
    problems = []
    for name, gradient in gradients:
        is_finite = bool(torch.isfinite(gradient).all())
        is_large = not _norm([gradient]) / divisor <= LARGEST_NORM
        if not (is_overflow_handled if not is_finite else is_clipped or not is_large):
            largest = torch.linalg.vector_norm(gradient, torch.inf).item() / divisor
            problems.append(f"{name} has values up to {largest:.3g}")
    return problems


def _norm(gradients: Iterable[Tensor]) -> float:
    """Compute the norm of several gradients together; infinity or NaN if it does not fit into float32."""
    return float(torch.nn.utils.get_total_norm(gradients, foreach=True))
