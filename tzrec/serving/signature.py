"""Signature: which tensors a servable takes, in which order, and how a batch becomes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.features.base import Feature
from tzrec.features.column import Column
from tzrec.serving.sequences import Sequences
from tzrec.tables.layout import Layout

NO_SEQUENCES = Sequences({}, {})


@dataclass(frozen=True)
class Signature:
    """The inputs of a servable; B rows, any number of ids N.

    Those that exist come in this order: `values` int64 `(N,)`, ids feature after feature and row after row;
    `lengths` int32 `(F, B)`, ids per feature and row; `weights` float32 `(N,)`, a factor for each id, 1 for features
    without weights; `dense` float32 `(B, sum of widths)`.

    Attributes:
        sparse: the F features with ids, in the order of `values`.
        weighted: whether there is an input `weights`.
        dense: the dense features and their widths, in the order of the columns of `dense`.
        sequences: those of sequences, which come last.
    """

    sparse: tuple[str, ...]
    weighted: bool
    dense: dict[str, int]
    sequences: Sequences = NO_SEQUENCES

    @classmethod
    def of(cls, layout: Layout) -> Signature:
        """The inputs a layout needs: features that share a kind of table stand together, so that one call looks
        them up."""
        entries = [entry for entries in layout.by_row.values() for entry in entries]
        by_kind = sorted((e for e in entries if e.table), key=lambda e: kind_of(layout, e.table or ""))
        return cls(
            sparse=tuple(dict.fromkeys(entry.feature for entry in by_kind)),
            weighted=any(bag.weighted for bag in layout.bags.values()),
            dense={entry.feature: entry.value_dim for entry in entries if entry.table is None},
            sequences=Sequences.of(layout),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs that exist, in order."""
        sparse = ("values", "lengths") if self.sparse else ()
        dense = (("weights",) if self.weighted else ()) + (("dense",) if self.dense else ())
        return sparse + dense + tuple(self.sequences.described())

    def described(self) -> list[dict[str, object]]:
        """Name, type and shape of each input, in order; N ids and B rows are free."""
        kinds: dict[str, tuple[str, list[object]]] = {
            "values": ("int64", ["N"]),
            "lengths": ("int32", [len(self.sparse), "B"]),
            "weights": ("float32", ["N"]),
            "dense": ("float32", ["B", sum(self.dense.values())]),
            **self.sequences.described(),
        }
        return [{"name": name, "dtype": kinds[name][0], "shape": kinds[name][1]} for name in self.names]

    def from_batch(self, batch: Batch) -> tuple[Tensor, ...]:
        """The inputs from a batch of the loader; nothing is copied where its features are just these."""
        inputs: tuple[Tensor, ...] = ()
        if self.sparse:
            ids = _pick(batch.sparse[BASE], self.sparse)
            inputs += (ids.values(), ids.lengths().view(len(self.sparse), -1))
            if self.weighted:
                weights = ids.weights_or_none()
                inputs += (torch.ones(len(ids.values())) if weights is None else weights,)
        if self.dense:
            dense = batch.dense[BASE]
            same = list(dense.keys()) == list(self.dense)
            inputs += (dense.values() if same else torch.cat([dense[name] for name in self.dense], dim=1),)
        return inputs + tuple(self.sequences.from_batch(batch))

    def from_columns(self, columns: Mapping[str, Column], rows: int) -> tuple[Tensor, ...]:
        """The inputs from encoded features."""
        inputs: tuple[Tensor, ...] = ()
        if self.sparse:
            ids = [columns[name] for name in self.sparse]
            lengths = _joined(_lengths(column, rows) for column in ids).view(-1, rows)
            inputs += (_joined(column.values for column in ids), lengths)
            if self.weighted:
                inputs += (_joined(_weights(column) for column in ids),)
        if self.dense:
            inputs += (torch.from_numpy(np.concatenate([columns[name].values for name in self.dense], axis=1)),)
        return inputs + tuple(self.sequences.from_columns(columns))


def kind_of(layout: Layout, table: str) -> tuple[bool, bool]:
    """What the tables of one call have in common: weighted, and pooled by mean."""
    bag = layout.tables[table]
    return bag.weighted, bag.table.pooling == "mean"


def _pick(ids: KeyedJaggedTensor, names: tuple[str, ...]) -> KeyedJaggedTensor:
    if tuple(ids.keys()) == names:
        return ids
    place = {key: index for index, key in enumerate(ids.keys())}
    return ids.permute([place[name] for name in names])


def _joined(arrays: Iterable[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(list(arrays)))


def _lengths(column: Column, rows: int) -> np.ndarray:
    return np.ones(rows, dtype=np.int32) if column.lengths is None else column.lengths


def _weights(column: Column) -> np.ndarray:
    return np.ones(len(column.values), dtype=np.float32) if column.weights is None else column.weights


def describe(features: Mapping[str, Feature], signature: Signature) -> dict[str, dict[str, object]]:
    """What a caller of the package has to know about each feature."""
    return {
        name: _describe(features[name]) for name in (*signature.sparse, *signature.dense, *signature.sequences.steps)
    }


def _describe(feature: Feature) -> dict[str, object]:
    told: dict[str, object] = {
        "inputs": [f"{each.side}:{each.name}" for each in feature.inputs],
        "kind": "ids" if feature.is_sparse else "dense",
        "weighted": feature.is_weighted,
    }
    if feature.is_sequence:
        told["sequence"] = feature.sequence or feature.name
    if feature.table is None:
        return told | {"width": feature.dim}
    table = feature.table
    return told | {"table": {"name": table.name, "rows": table.rows, "dim": table.dim, "pooling": table.pooling}}
