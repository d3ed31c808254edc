"""Columns of feature groups: a layer that reads a group keeps the weights of the features that it had before.

A model that has one feature more than the checkpoint it is fine-tuned from has wider first layers. Their weights are
copied column by column, by the names of the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

Columns = Mapping[str, Sequence[Sequence[str | int]]]
"""Group -> (feature, width) of its columns, in order."""


@dataclass(frozen=True)
class ColumnMap:
    """Columns that a group of the model has in common with the same group in a checkpoint.

    Attributes:
        group: its name.
        size_before: width in the checkpoint.
        size: width in the model.
        source: columns in the checkpoint.
        target: the same columns in the model.
        new: features of the model that the checkpoint has not, or in another width.
    """

    group: str
    size_before: int
    size: int
    source: tuple[int, ...]
    target: tuple[int, ...]
    new: tuple[str, ...]

    @classmethod
    def of(cls, group: str, before: Sequence[Sequence[str | int]], now: Sequence[Sequence[str | int]]) -> ColumnMap:
        """Match the features of a group by name and width."""
        spans_before, spans = _spans(before), _spans(now)
        common = [key for key in spans if key in spans_before]
        source = [column for key in common for column in spans_before[key]]
        target = [column for key in common for column in spans[key]]
        new = tuple(str(name) for name, width in spans if (name, width) not in spans_before)
        return cls(group, _width(before), _width(now), tuple(source), tuple(target), new)


def column_maps(before: Columns, now: Columns) -> list[ColumnMap]:
    """Match the groups that a checkpoint and a model have, and that differ."""
    names = [name for name in now if name in before]
    changed = [name for name in names if [tuple(row) for row in before[name]] != [tuple(row) for row in now[name]]]
    return [ColumnMap.of(name, before[name], now[name]) for name in changed]


def find_maps(maps: Sequence[ColumnMap], stored: Sequence[int], size: Sequence[int]) -> list[ColumnMap | None] | None:
    """Return the map of each dimension of a tensor, None for an unchanged one.

    Args:
        maps: of the groups that differ.
        stored: size of the tensor in the checkpoint.
        size: in the model.

    Returns:
        None if a dimension has changed in a way that no group or more than one explains.
    """
    if len(stored) != len(size):
        return None
    dimensions: list[ColumnMap | None] = []
    for before, now in zip(stored, size, strict=True):
        fitting = [entry for entry in maps if (entry.size_before, entry.size) == (before, now)]
        indices = {(entry.source, entry.target) for entry in fitting}
        if before != now and len(indices) != 1:
            return None
        dimensions.append(fitting[0] if before != now else None)
    return dimensions


def is_ambiguous(maps: Sequence[ColumnMap], size: Sequence[int]) -> bool:
    """True if a group with other features of the same total width may be a dimension of the tensor."""
    return any(entry.size_before == entry.size and entry.size in size for entry in maps)


def copy_columns(stored: torch.Tensor, value: torch.Tensor, maps: Sequence[ColumnMap | None]) -> None:
    """Copy the common columns of every dimension; the others keep their values."""
    pairs = [
        (range(size), range(size)) if entry is None else (entry.source, entry.target)
        for entry, size in zip(maps, value.shape, strict=True)
    ]
    source, target = (
        torch.meshgrid(*(torch.tensor(list(pair[side]), device=value.device) for pair in pairs), indexing="ij")
        for side in (0, 1)
    )
    with torch.no_grad():
        value[target] = stored.to(value.device)[source]


def describe(maps: Sequence[ColumnMap | None]) -> str:
    """Format the outcome: `20 of 24 columns of group "deep" restored; new: brand`."""
    entry = next(entry for entry in maps if entry is not None)
    new = f"; new: {', '.join(entry.new)}" if entry.new else ""
    return f'{len(entry.target)} of {entry.size} columns of group "{entry.group}" restored{new}'


def _spans(columns: Sequence[Sequence[str | int]]) -> dict[tuple[str | int, int], range]:
    spans, start = {}, 0
    for name, width in columns:
        spans[name, int(width)] = range(start, start + int(width))
        start += int(width)
    return spans


def _width(columns: Sequence[Sequence[str | int]]) -> int:
    return sum(int(width) for _, width in columns)
