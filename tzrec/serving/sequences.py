"""What a servable takes of sequences: the steps of each feature, and the places of those of each group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tzrec.data.batch import BASE, Batch
from tzrec.data.collate import own
from tzrec.embedding.assemble import longest, padded_index
from tzrec.features.column import Column
from tzrec.tables.layout import Layout


@dataclass(frozen=True)
class GroupInput:
    """A sequence group: its features of steps, how many steps of a row it reads (0: all), whether it has no padding."""

    features: tuple[str, ...]
    limit: int
    jagged: bool


@dataclass(frozen=True)
class StepInput:
    """The steps of one feature in a batch.

    Attributes:
        values: ids int64 `(N,)`, or numbers float32 `(S, width)`.
        lengths: int32 `(B,)`, steps of each row.
        sizes: int32 `(S,)`, ids of each step; None for numbers.
    """

    values: Tensor
    lengths: Tensor
    sizes: Tensor | None

    @classmethod
    def from_batch(cls, batch: Batch, name: str, is_sparse: bool) -> StepInput:
        if not is_sparse:
            numbers = batch.element_values[name]
            return cls(numbers.values(), numbers.lengths(), None)
        ids, sizes = batch.sequences[BASE][name], batch.element_sizes.get(name)
        if sizes is None:
            return cls(ids.values(), ids.lengths(), torch.ones(len(ids.values()), dtype=torch.int32))
        return cls(ids.values(), sizes.lengths(), sizes.values())

    @classmethod
    def from_column(cls, column: Column) -> StepInput:
        assert column.sequence_lengths is not None
        values, lengths = own(column.values), own(column.sequence_lengths)
        if not column.is_sparse:
            return cls(values, lengths, None)
        sizes = column.lengths
        return cls(
            values, lengths, torch.ones(len(values), dtype=torch.int32) if sizes is None else torch.from_numpy(sizes)
        )


@dataclass(frozen=True)
class Sequences:
    """The inputs of all sequences; B rows, and per feature any number of steps S and of ids N.

    Per feature `f`: `f.values` int64 `(N,)`, ids step after step, or float32 `(S, width)`; `f.lengths` int32 `(B,)`,
    steps of each row; for ids `f.key_lengths` int32 `(S,)`, ids of each step. Per group `g`: `g.positions` int64
    `(L,)`, 0, 1, ... up to its longest row; for a group without padding `g.rows` and `g.positions`, row and place in
    it of each step.

    Attributes:
        steps: features and their widths, 0 for ids.
        groups: sequence groups.
    """

    steps: dict[str, int]
    groups: dict[str, GroupInput]

    @classmethod
    def of(cls, layout: Layout) -> Sequences:
        entries = [entry for group in layout.sequences.values() for entry in group.steps]
        groups = {
            name: GroupInput(tuple(entry.feature for entry in group.steps), group.limit, group.jagged)
            for name, group in layout.sequences.items()
        }
        return cls({entry.feature: 0 if entry.table else entry.dim for entry in entries}, groups)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Sequences:
        """From what `dataclasses.asdict` made of one."""
        groups = {
            name: GroupInput(tuple(each["features"]), each["limit"], each["jagged"])
            for name, each in told["groups"].items()
        }
        return cls(dict(told["steps"]), groups)

    def described(self) -> dict[str, tuple[str, list[object]]]:
        """Type and shape of each input by name, in order; dimensions with names are free."""
        told: dict[str, tuple[str, list[object]]] = {}
        for name, width in self.steps.items():
            told[f"{name}.values"] = ("float32", [f"S {name}", width]) if width else ("int64", [f"N {name}"])
            told[f"{name}.lengths"] = ("int32", ["B"])
            if not width:
                told[f"{name}.key_lengths"] = ("int32", [f"S {name}"])
        for name, group in self.groups.items():
            if group.jagged:
                told[f"{name}.rows"] = ("int64", [f"L {name}"])
            told[f"{name}.positions"] = ("int64", [f"L {name}"])
        return told

    def from_batch(self, batch: Batch) -> Iterator[Tensor]:
        """The inputs from a batch of the loader."""
        return self._inputs({name: StepInput.from_batch(batch, name, not width) for name, width in self.steps.items()})

    def from_columns(self, columns: Mapping[str, Column]) -> Iterator[Tensor]:
        """The inputs from encoded features."""
        return self._inputs({name: StepInput.from_column(columns[name]) for name in self.steps})

    def _inputs(self, steps: Mapping[str, StepInput]) -> Iterator[Tensor]:
        for each in steps.values():
            yield from (each.values, each.lengths)
            if each.sizes is not None:
                yield each.sizes
        for group in self.groups.values():
            places = padded_index(longest([steps[name].lengths for name in group.features], group.limit), group.jagged)
            if group.jagged:
                yield places.rows
            yield places.positions.reshape(-1)
