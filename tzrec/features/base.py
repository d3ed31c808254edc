"""Feature: one entry of feature_configs, its inputs, its width, its table and how it is encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.features.arrays import BoolArray, Int64Array
from tzrec.features.column import Column


@dataclass(frozen=True)
class FeatureInput:
    """One input of a feature, `side:name`; side is user, item, context, feature or const."""

    side: str
    name: str

    @classmethod
    def parse(cls, text: str) -> FeatureInput:
        side, _, name = text.partition(":")
        return cls(side, name)


@dataclass(frozen=True)
class Table:
    """An embedding table as a feature asks for it; features that share one ask for equal tables."""

    name: str
    rows: int
    dim: int
    pooling: str = "sum"
    data_type: str = "FP32"
    init_fn: str = ""
    trainable: bool = True
    sharding_types: tuple[str, ...] = ()
    compute_kernels: tuple[str, ...] = ()


@dataclass(frozen=True)
class DenseEmbedding:
    """How the numbers of a dense feature become one vector.

    Attributes:
        kind: "autodis" or "mlp".
        value_dim: numbers of a row.
        dim: width of the vector.
        num_channels: of autodis, as are the following: vectors to mix.
        temperature: of the softmax over them.
        keep_prob: weight of the skip connection.
    """

    kind: str
    value_dim: int
    dim: int
    num_channels: int = 0
    temperature: float = 0.0
    keep_prob: float = 0.0


@dataclass
class BadRows:
    """Which rows of a batch hold values that cannot be encoded, and why.

    Encoders put the feature's default in place of every bad value and report it here; what follows
    (stop, go on, leave the row out) is the loader's business.
    """

    size: int
    mask: BoolArray = field(init=False)
    reports: list[tuple[str, str, Int64Array, Sequence[Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mask = np.zeros(self.size, dtype=np.bool_)

    def report(self, column: str, reason: str, rows: Int64Array, values: Sequence[Any]) -> None:
        """Record bad rows of one column.

        Args:
            column: name of the input column.
            reason: short and constant, e.g. "not an integer", "out of range [0, 100)", "null label".
            rows: positions in the batch.
            values: what stood there, one per row.
        """
        if len(rows):
            self.mask[rows] = True
            self.reports.append((column, reason, rows, values))

    def lift(self, inner: BadRows, owners: Int64Array) -> None:
        """Take over what was reported of the steps of sequences, once per row.

        Args:
            inner: reports of S steps.
            owners: the row of each step, `(S,)`.
        """
        for column, reason, steps, values in inner.reports:
            rows, first = np.unique(owners[steps], return_index=True)
            self.report(column, reason, rows, [values[i] for i in first])

    def repeat(self, times: int) -> BadRows:
        """Repeat the reports of a single row for `times` rows."""
        bad = BadRows(times)
        for column, reason, rows, values in self.reports:
            if len(rows):
                bad.report(column, reason, np.arange(times), [values[0]] * times)
        return bad

    def __bool__(self) -> bool:
        return bool(self.reports)


class Feature:
    """One feature. Subclasses live in the file their oneof member names.

    Attributes:
        name: output name, unique in the config.
        inputs: what it reads, in declared order.
        table: its embedding table, None for a dense feature.
        embedding: how its numbers become a vector, None for a dense feature that enters the model as it is.
        is_sparse: whether `encode` yields ids.
        is_weighted: whether its ids carry weights.
        dim: width of the dense values, 0 for a sparse feature.
        stub: whether only other features read it.
        masked_input: name of the input that is empty in masked rows; "" where masking does not concern it.
        is_sequence: whether each row holds any number of steps.
        sequence: name of the sequence_feature it is a part of; "" outside of one.
    """

    name: str
    inputs: tuple[FeatureInput, ...]
    table: Table | None
    embedding: DenseEmbedding | None = None
    is_sparse: bool
    is_weighted: bool = False
    dim: int = 0
    stub: bool = False
    masked_input: str = ""
    is_sequence: bool = False
    sequence: str = ""

    @property
    def output_dim(self) -> int:
        """Width this feature adds to a DEEP group."""
        embedded = self.table or self.embedding
        return embedded.dim if embedded else self.dim

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        """Turn the raw input arrays into a Column; every array is one whole (not chunked) Arrow array of B rows."""
        raise NotImplementedError
