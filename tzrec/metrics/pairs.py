"""Pairs of rows within groups, and how many of them are in the right order."""

from __future__ import annotations

import torch

from tzrec.metrics.grouped import lexsort

_CHUNK = 1 << 20


def concordance(
    group: torch.Tensor, score: torch.Tensor, label: torch.Tensor, sizes: torch.Tensor, budgets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of up to `budgets` pairs of rows of each group, how many have the score in the order of the label.

    Pairs of equal label have no order and do not count; equal scores of different labels count a half. A group that
    has no more pairs than its budget is counted in full; else pairs are drawn at random, with a fixed seed and from
    sorted rows, so that the result depends on nothing but the rows.

    Args:
        group: from 0 to G - 1, `(N,)`.
        score: `(N,)`.
        label: `(N,)`.
        sizes: rows of each group, `(G,)`.
        budgets: most pairs to look at, `(G,)`.

    Returns:
        pairs in order and pairs that count, float64 `(G,)` each.
    """
    order = lexsort(group, label, score)
    score, label = score[order], label[order]
    first = sizes.cumsum(0) - sizes
    every = sizes * (sizes - 1) // 2
    count = torch.minimum(budgets, every)
    ends = count.cumsum(0)
    right, counted = torch.zeros(2, len(sizes), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, _CHUNK):
        nth = torch.arange(start, min(start + _CHUNK, total))  # (P,)
        of = torch.searchsorted(ends, nth, right=True)  # (P,)
        drawn = _draw(sizes[of], generator)
        listed = _enumerate(nth - (ends - count)[of])
        low, high = torch.where(count[of] == every[of], listed, drawn) + first[of]  # (P,), (P,)
        ordered = label[high] > label[low]
        step = score[high] - score[low]
        points = torch.where(step == 0, 0.5, (step > 0).double())
        right.index_add_(0, of, points * ordered)
        counted.index_add_(0, of, ordered.double())
    return right, counted


def _draw(sizes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Two different numbers below each size, the smaller first, `(2, P)`."""
    uniform = torch.rand(2, len(sizes), dtype=torch.float64, generator=generator)
    i, j = (uniform * torch.stack([sizes, sizes - 1])).long()
    j += j >= i
    return torch.stack([torch.minimum(i, j), torch.maximum(i, j)])


def _enumerate(nth: torch.Tensor) -> torch.Tensor:
    """The n-th of the pairs (0, 1), (0, 2), (1, 2), (0, 3), ..., `(2, P)`."""
    high = ((1 + torch.sqrt(1 + 8 * nth.double())) / 2).long()
    return torch.stack([nth - high * (high - 1) // 2, high])
