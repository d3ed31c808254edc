"""Sequence inputs of a program: the elements of each feature, and the index of the elements of each group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tzrec.data.batch import BASE, Batch
from tzrec.data.collate import to_tensor
from tzrec.embedding.assemble import max_lengths, padded_index
from tzrec.features.column import Column
from tzrec.tables.layout import Layout


@dataclass(frozen=True)
class GroupInput:
    """Inputs of a sequence group.

    Attributes:
        features: names of its sequence features.
        limit: number of elements of a row that the group reads; 0 for all.
        is_jagged: the elements of all rows follow each other.
        is_padded: the elements are read with padding.
    """

    features: tuple[str, ...]
    limit: int
    is_jagged: bool
    is_padded: bool


@dataclass(frozen=True)
class ElementInput:
    """The elements of one sequence feature in a batch.

    Attributes:
        values: ids int64 `(N,)`, or numbers float32 `(S, width)`.
        lengths: int32 `(B,)`, elements of each row.
        key_lengths: int32 `(S,)`, ids of each element; None for numbers.
    """

    values: Tensor
    lengths: Tensor
    key_lengths: Tensor | None

    @classmethod
    def from_batch(cls, batch: Batch, name: str, is_sparse: bool) -> ElementInput:
        """Take a feature from a batch of the loader."""
        if not is_sparse:
            numbers = batch.element_values[name]
            return cls(numbers.values(), numbers.lengths(), None)
        ids, key_lengths = batch.sequences[BASE][name], batch.element_sizes.get(name)
        if key_lengths is None:
            return cls(ids.values(), ids.lengths(), _one_id_each(ids.values()))
        return cls(ids.values(), key_lengths.lengths(), key_lengths.values())

    @classmethod
    def from_column(cls, column: Column) -> ElementInput:
        """Take an encoded feature."""
        assert column.sequence_lengths is not None
        values, lengths = to_tensor(column.values), to_tensor(column.sequence_lengths)
        if not column.is_sparse:
            return cls(values, lengths, None)
        key_lengths = _one_id_each(values) if column.lengths is None else to_tensor(column.lengths)
        return cls(values, lengths, key_lengths)


def _one_id_each(values: Tensor) -> Tensor:
    return torch.ones(len(values), dtype=torch.int32)


@dataclass(frozen=True)
class SequenceInputs:
    """The inputs of all sequences; B rows, and per feature any number of elements S and of ids N.

    Per feature `f`: `f.values` int64 `(N,)`, ids element by element, or float32 `(S, width)`; `f.lengths` int32
    `(B,)`, elements of each row; for ids `f.key_lengths` int32 `(S,)`, ids of each element. Per group `g`:
    `g.positions` int64 `(L,)`, 0, 1, ... up to its longest row; for a group without padding `g.rows` and
    `g.positions`, the row of each element and its position in the row, and `g.padding` int64 `(P,)`, 0, 1, ... up to
    the longest row, if an encoder pads the elements.

    Attributes:
        width_by_feature: width of each feature, 0 for ids.
        groups: sequence groups by name.
    """

    width_by_feature: dict[str, int]
    groups: dict[str, GroupInput]

    @classmethod
    def from_layout(cls, layout: Layout) -> SequenceInputs:
        """The inputs that the sequence groups of a layout need."""
        entries = [entry for group in layout.sequences.values() for entry in group.elements]
        groups = {
            name: GroupInput(tuple(entry.feature for entry in group.elements), group.limit, group.jagged, group.padded)
            for name, group in layout.sequences.items()
        }
        return cls({entry.feature: 0 if entry.table else entry.value_dim for entry in entries}, groups)

    def to_json(self) -> dict[str, Any]:
        """Their form in a manifest."""
        groups = {
            name: {
                "features": list(group.features),
                "limit": group.limit,
                "jagged": group.is_jagged,
                "padded": group.is_padded,
            }
            for name, group in self.groups.items()
        }
        return {"steps": self.width_by_feature, "groups": groups}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SequenceInputs:
        """The inverse of `to_json`; the groups of older packages are either jagged or padded."""
        groups = {
            name: GroupInput(
                tuple(group["features"]), group["limit"], group["jagged"], group.get("padded", not group["jagged"])
            )
            for name, group in value["groups"].items()
        }
        return cls(dict(value["steps"]), groups)

    def types_and_shapes(self) -> dict[str, tuple[str, list[object]]]:
        """Type and shape of each input by name, in order; dimensions with a name are free."""
        inputs: dict[str, tuple[str, list[object]]] = {}
        for name, width in self.width_by_feature.items():
            inputs[f"{name}.values"] = ("float32", [f"S {name}", width]) if width else ("int64", [f"N {name}"])
            inputs[f"{name}.lengths"] = ("int32", ["B"])
            if not width:
                inputs[f"{name}.key_lengths"] = ("int32", [f"S {name}"])
        for name, group in self.groups.items():
            if group.is_jagged:
                inputs[f"{name}.rows"] = ("int64", [f"L {name}"])
            inputs[f"{name}.positions"] = ("int64", [f"L {name}"])
            if group.is_jagged and group.is_padded:
                inputs[f"{name}.padding"] = ("int64", [f"P {name}"])
        return inputs

    def from_batch(self, batch: Batch) -> Iterator[Tensor]:
        """The inputs of a batch of the loader, in order."""
        widths = self.width_by_feature.items()
        return self._inputs({name: ElementInput.from_batch(batch, name, not width) for name, width in widths})

    def from_columns(self, columns: Mapping[str, Column]) -> Iterator[Tensor]:
        """The inputs of encoded features, in order."""
        return self._inputs({name: ElementInput.from_column(columns[name]) for name in self.width_by_feature})

    def _inputs(self, elements_by_feature: Mapping[str, ElementInput]) -> Iterator[Tensor]:
        for elements in elements_by_feature.values():
            yield from (elements.values, elements.lengths)
            if elements.key_lengths is not None:
                yield elements.key_lengths
        for group in self.groups.values():
            lengths = max_lengths([elements_by_feature[name].lengths for name in group.features], group.limit)
            index = padded_index(lengths, group.is_jagged, group.is_padded)
            if group.is_jagged:
                yield index.rows
            yield index.positions.reshape(-1)
            if group.is_jagged and group.is_padded:
                yield torch.arange(index.size)
