"""Concordance of pairs of rows within groups."""

from __future__ import annotations

import torch

from tzrec.metrics.grouped import lexsort

_CHUNK = 1 << 20


def concordance(
    group: torch.Tensor, score: torch.Tensor, label: torch.Tensor, sizes: torch.Tensor, budgets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Count the pairs of rows of each group whose scores are in the order of their labels, out of `budgets` pairs.

    Pairs of equal label have no order and do not count; equal scores of different labels count a half. All
    pairs of a group are compared if its budget allows; else pairs are drawn from the sorted rows with a fixed seed, so
    that the result depends on the rows alone.

    Args:
        group: numbers from 0 to G - 1, `(N,)`.
        score: `(N,)`.
        label: `(N,)`.
        sizes: rows of each group, `(G,)`.
        budgets: largest number of pairs to compare, `(G,)`.

    Returns:
        Pairs in order and pairs that have one, float64 `(G,)` each.
    """
    order = lexsort(group, label, score)
    score, label = score[order], label[order]
    first = sizes.cumsum(0) - sizes
    num_pairs = sizes * (sizes - 1) // 2
    count = torch.minimum(budgets, num_pairs)
    ends = count.cumsum(0)
    concordant, ordered_pairs = torch.zeros(2, len(sizes), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, _CHUNK):
        nth = torch.arange(start, min(start + _CHUNK, total))  # (P,)
        owner = torch.searchsorted(ends, nth, right=True)  # (P,)
        drawn = _draw(sizes[owner], generator)
        enumerated = _enumerate(nth - (ends - count)[owner])
        low, high = torch.where(count[owner] == num_pairs[owner], enumerated, drawn) + first[owner]  # (P,), (P,)
        ordered = label[high] > label[low]
        difference = score[high] - score[low]
        points = torch.where(difference == 0, 0.5, (difference > 0).double())
        concordant.index_add_(0, owner, points * ordered)
        ordered_pairs.index_add_(0, owner, ordered.double())
    return concordant, ordered_pairs


def _draw(sizes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw two different numbers below each size, the smaller first, `(2, P)`."""
    uniform = torch.rand(2, len(sizes), dtype=torch.float64, generator=generator)
    i, j = (uniform * torch.stack([sizes, sizes - 1])).long()
    j += j >= i
    return torch.stack([torch.minimum(i, j), torch.maximum(i, j)])


def _enumerate(nth: torch.Tensor) -> torch.Tensor:
    """Compute the n-th of the pairs (0, 1), (0, 2), (1, 2), (0, 3), ..., `(2, P)`."""
    high = ((1 + torch.sqrt(1 + 8 * nth.double())) / 2).long()
    return torch.stack([nth - high * (high - 1) // 2, high])
