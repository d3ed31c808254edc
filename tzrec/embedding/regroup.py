"""From columns in the order in which tables lie to columns in the order in which groups list them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

Source = tuple[Sequence[str], Sequence[int], Tensor]
"""Keys, their widths, and their columns side by side, `(B, sum of widths)`."""


@dataclass(frozen=True)
class GroupPlan:
    """How to cut the sources and which pieces make a group.

    Attributes:
        cuts: per source, widths of the pieces to cut it into.
        pieces: per group, (source, piece) in order.
    """

    cuts: tuple[tuple[int, ...], ...]
    pieces: dict[str, tuple[tuple[int, int], ...]]


def plan_groups(
    sources: Sequence[tuple[Sequence[str], Sequence[int]]], groups: Mapping[str, Sequence[str]]
) -> GroupPlan:
    """Cut the sources as little as the groups allow: neighbours that stay neighbours everywhere stay together.

    Args:
        sources: keys and their widths, per source; a key stands in one source.
        groups: per group, the keys it is made of, in order.
    """
    span = {}
    for index, (keys, widths) in enumerate(sources):
        for key, (start, stop) in zip(keys, pairwise(accumulate(widths, initial=0)), strict=True):
            span[key] = (index, start, stop)
    runs = {group: _runs([span[key] for key in keys]) for group, keys in groups.items()}
    edges = [{0, sum(widths)} for _, widths in sources]
    for run in (run for row in runs.values() for run in row):
        edges[run[0]].update(run[1:])
    bounds = [sorted(row) for row in edges]
    return GroupPlan(
        cuts=tuple(tuple(b - a for a, b in pairwise(row)) for row in bounds),
        pieces={
            group: tuple((source, i) for source, start, stop in row for i in _between(bounds[source], start, stop))
            for group, row in runs.items()
        },
    )


def _runs(spans: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join spans (source, start, stop) that follow each other in one source."""
    runs: list[tuple[int, int, int]] = []
    for source, start, stop in spans:
        if runs and runs[-1][0] == source and runs[-1][2] == start:
            runs[-1] = (source, runs[-1][1], stop)
        else:
            runs.append((source, start, stop))
    return runs


def _between(bounds: Sequence[int], start: int, stop: int) -> range:
    return range(bounds.index(start), bounds.index(stop))


def regroup(values: Sequence[Tensor], how: GroupPlan) -> dict[str, Tensor]:
    """Apply a plan. A group that is a whole source, or one piece of it, is not copied.

    Cutting with one `split` per source matters for the gradient: its backward is one concatenation, where that of
    single slices writes a full-width zero tensor for each of them.

    Args:
        values: per source, `(B, sum of widths)`.

    Returns:
        Per group `(B, sum of its widths)`.
    """
    pieces = [
        value.split(cut, dim=1) if len(cut) > 1 else (value,) for value, cut in zip(values, how.cuts, strict=True)
    ]
    grouped = {}
    for group, places in how.pieces.items():
        parts = [pieces[source][piece] for source, piece in places]
        grouped[group] = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)  # (B, sum of widths)
    return grouped
