"""Signature: the tensors that a program takes, in order, and their conversion from batches and encoded features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor

from tzrec.data.batch import BASE, Batch
from tzrec.features.base import Feature
from tzrec.features.column import Column
from tzrec.features.feature_encoder import EncodedRequest
from tzrec.serving.sequence_inputs import SequenceInputs
from tzrec.tables.layout import Layout

NO_SEQUENCES = SequenceInputs({}, {})
ROW_INPUTS = ("values", "lengths", "weights", "dense")
"""Inputs that are not of sequences, in order."""


@dataclass(frozen=True)
class Signature:
    """The inputs of a program; B rows, any number of ids N.

    Those that exist come in this order: `values` int64 `(N,)`, ids feature after feature and row after row;
    `lengths` int32 `(F, B)`, ids per feature and row; `weights` float32 `(N,)`, a factor for each id, 1 for features
    without weights; `dense` float32 `(B, sum of widths)`.

    Attributes:
        sparse: the F features with ids, in the order of `values`.
        has_weights: there is an input `weights`.
        dense: the dense features and their widths, in the order of the columns of `dense`.
        sequences: the inputs of sequences, which come last.
    """

    sparse: tuple[str, ...]
    has_weights: bool
    dense: dict[str, int]
    sequences: SequenceInputs = NO_SEQUENCES

    @classmethod
    def from_layout(cls, layout: Layout) -> Signature:
        """The inputs that a layout needs; features whose tables are of one kind are neighbors, so that one call
        looks them up."""
        entries = [entry for entries in layout.row_groups.values() for entry in entries]
        by_kind = sorted((e for e in entries if e.table), key=lambda e: table_kind(layout, e.table or ""))
        return cls(
            sparse=tuple(dict.fromkeys(entry.feature for entry in by_kind)),
            has_weights=any(table.weighted for table in layout.tables.values()),
            dense={entry.feature: entry.value_dim for entry in entries if entry.table is None},
            sequences=SequenceInputs.from_layout(layout),
        )

    def to_json(self) -> dict[str, Any]:
        """Its form in a manifest."""
        return {
            "sparse": list(self.sparse),
            "weighted": self.has_weights,
            "dense": self.dense,
            "sequences": self.sequences.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Signature:
        """The inverse of `to_json`; older packages have no entry `sequences`."""
        sequences = SequenceInputs.from_json(value["sequences"]) if "sequences" in value else NO_SEQUENCES
        return cls(tuple(value["sparse"]), value["weighted"], dict(value["dense"]), sequences)

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs that exist, in order."""
        sparse = ("values", "lengths") if self.sparse else ()
        dense = (("weights",) if self.has_weights else ()) + (("dense",) if self.dense else ())
        return sparse + dense + tuple(self.sequences.types_and_shapes())

    def prefixed_names(self, prefix: str) -> list[str]:
        """The inputs that exist, in order, with a prefix for those of rows."""
        return [f"{prefix if name in ROW_INPUTS else ''}{name}" for name in self.names]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that the program reads."""
        return (*self.sparse, *self.dense, *self.sequences.width_by_feature)

    def describe_inputs(self) -> list[dict[str, Any]]:
        """Name, type and shape of each input, in order; dimensions with a name are free."""
        types_and_shapes: dict[str, tuple[str, list[object]]] = {
            "values": ("int64", ["N"]),
            "lengths": ("int32", [len(self.sparse), "B"]),
            "weights": ("float32", ["N"]),
            "dense": ("float32", ["B", sum(self.dense.values())]),
            **self.sequences.types_and_shapes(),
        }
        selected = {name: types_and_shapes[name] for name in self.names}
        return [{"name": name, "dtype": dtype, "shape": shape} for name, (dtype, shape) in selected.items()]

    def from_batch(self, batch: Batch) -> tuple[Tensor, ...]:
        """The inputs of a batch of the loader; nothing is copied where its features are those of the signature."""
        inputs: tuple[Tensor, ...] = ()
        if self.sparse:
            ids = _select(batch.sparse[BASE], self.sparse)
            inputs += (ids.values(), ids.lengths().view(len(self.sparse), -1))
            if self.has_weights:
                weights = ids.weights_or_none()
                inputs += (torch.ones(len(ids.values())) if weights is None else weights,)
        if self.dense:
            dense = batch.dense[BASE]
            same = list(dense.keys()) == list(self.dense)
            inputs += (dense.values() if same else torch.cat([dense[name] for name in self.dense], dim=1),)
        return inputs + tuple(self.sequences.from_batch(batch))

    def from_columns(self, columns: Mapping[str, Column], num_rows: int) -> tuple[Tensor, ...]:
        """The inputs of encoded features."""
        inputs: tuple[Tensor, ...] = ()
        if self.sparse:
            ids = [columns[name] for name in self.sparse]
            lengths = _concatenate(_lengths(column, num_rows) for column in ids).view(-1, num_rows)
            inputs += (_concatenate(column.values for column in ids), lengths)
            if self.has_weights:
                inputs += (_concatenate(_weights(column) for column in ids),)
        if self.dense:
            inputs += (torch.from_numpy(np.concatenate([columns[name].values for name in self.dense], axis=1)),)
        return inputs + tuple(self.sequences.from_columns(columns))

    def from_request(self, request: EncodedRequest) -> tuple[Tensor, ...]:
        """The inputs of the items of a request."""
        return self.from_columns(request.columns(), len(request.owners))


def table_kind(layout: Layout, name: str) -> tuple[bool, bool]:
    """The properties that the tables of one lookup share: has weights, pools by mean."""
    table = layout.all_tables[name]
    return table.weighted, table.table.pooling == "mean"


def _select(ids: KeyedJaggedTensor, names: tuple[str, ...]) -> KeyedJaggedTensor:
    if tuple(ids.keys()) == names:
        return ids
    index = {key: i for i, key in enumerate(ids.keys())}
    return ids.permute([index[name] for name in names])


def _concatenate(arrays: Iterable[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(list(arrays)))


def _lengths(column: Column, num_rows: int) -> np.ndarray:
    return np.ones(num_rows, dtype=np.int32) if column.lengths is None else column.lengths


def _weights(column: Column) -> np.ndarray:
    return np.ones(len(column.values), dtype=np.float32) if column.weights is None else column.weights


def describe_features(features: Mapping[str, Feature], names: Iterable[str]) -> dict[str, dict[str, object]]:
    """Raw columns, kind and table of some features: the content of `features.json`."""
    return {name: _describe(features[name]) for name in names}


def _describe(feature: Feature) -> dict[str, object]:
    description: dict[str, object] = {
        "inputs": [f"{column.side}:{column.name}" for column in feature.inputs],
        "kind": "ids" if feature.is_sparse else "dense",
        "weighted": feature.is_weighted,
    }
    if feature.is_sequence:
        description["sequence"] = feature.sequence or feature.name
    if feature.table is None:
        return description | {"width": feature.dim}
    table = feature.table
    return description | {"table": {"name": table.name, "rows": table.rows, "dim": table.dim, "pooling": table.pooling}}
