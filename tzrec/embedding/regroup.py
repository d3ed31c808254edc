"""Regrouping: columns in the order of the lookups -> columns in the order in which groups list them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class GroupPlan:
    """Split of each source, and the parts that make each group.

    Attributes:
        split_sizes: per source, widths of the parts to split it into.
        parts: per group, (source, part) in order.
    """

    split_sizes: tuple[tuple[int, ...], ...]
    parts: dict[str, tuple[tuple[int, int], ...]]


def plan_groups(
    sources: Sequence[tuple[Sequence[str], Sequence[int]]], groups: Mapping[str, Sequence[str]]
) -> GroupPlan:
    """Plan as few splits as the groups allow: columns that are neighbors in every group stay in one part.

    Args:
        sources: keys and their widths, per source; a key is in one source.
        groups: per group, the keys it consists of, in order.
    """
    spans = {}
    for index, (keys, widths) in enumerate(sources):
        for key, (start, stop) in zip(keys, pairwise(accumulate(widths, initial=0)), strict=True):
            spans[key] = (index, start, stop)
    runs = {group: _join([spans[key] for key in keys]) for group, keys in groups.items()}
    edges = [{0, sum(widths)} for _, widths in sources]
    for source, start, stop in (run for row in runs.values() for run in row):
        edges[source].update((start, stop))
    bounds = [sorted(row) for row in edges]
    return GroupPlan(
        split_sizes=tuple(tuple(b - a for a, b in pairwise(row)) for row in bounds),
        parts={
            group: tuple(
                (source, part)
                for source, start, stop in row
                for part in range(bounds[source].index(start), bounds[source].index(stop))
            )
            for group, row in runs.items()
        },
    )


def _join(spans: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join spans (source, start, stop) that follow each other in one source."""
    runs: list[tuple[int, int, int]] = []
    for source, start, stop in spans:
        if runs and runs[-1][0] == source and runs[-1][2] == start:
            runs[-1] = (source, runs[-1][1], stop)
        else:
            runs.append((source, start, stop))
    return runs


def regroup(values: Sequence[Tensor], plan: GroupPlan) -> dict[str, Tensor]:
    """Apply a plan. A group that is a whole source, or one part of it, is not copied.

    Each source is split once, which matters for the gradient: the backward pass of `split` is one concatenation, that
    of single slices writes a full-width zero tensor for each of them.

    Args:
        values: per source, `(B, sum of widths)`.
        plan: of `plan_groups`.

    Returns:
        Per group `(B, sum of its widths)`.
    """
    parts = [
        value.split(sizes, dim=1) if len(sizes) > 1 else (value,)
        for value, sizes in zip(values, plan.split_sizes, strict=True)
    ]
    grouped = {}
    for group, indices in plan.parts.items():
        columns = [parts[source][part] for source, part in indices]
        grouped[group] = columns[0] if len(columns) == 1 else torch.cat(columns, dim=1)  # (B, sum of widths)
    return grouped
