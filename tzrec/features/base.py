"""Feature: one entry of feature_configs, its inputs, its width, its table and its encoding."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from tzrec.features.bad_rows import BadRows
from tzrec.features.bucketize import Bucketizer
from tzrec.features.column import Column
from tzrec.features.jagged import Jagged

BASE, NEG, CNEG = "__BASE__", "__NEG__", "__CNEG__"
"""Data groups: features with one value per sample; features of one input with values of the samples and of sampled
negatives; features of several inputs, at least one of which has values of negatives."""


@dataclass(frozen=True)
class FeatureInput:
    """One input of a feature, `side:name`; the side is user, item, context, feature or const."""

    side: str
    name: str


@dataclass(frozen=True)
class Table:
    """Embedding table that a feature requests; features that share a table request equal ones."""

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
    """Embedding of the numbers of a dense feature into one vector.

    Attributes:
        kind: "autodis", "mlp" or "piecewise_linear".
        value_dim: numbers per row.
        dim: width of the vector.
        num_channels: of autodis, as are the following: number of vectors to mix.
        temperature: of the softmax over them.
        keep_prob: weight of the skip connection.
        edges: of piecewise_linear.
    """

    kind: str
    value_dim: int
    dim: int
    num_channels: int = 0
    temperature: float = 0.0
    keep_prob: float = 0.0
    edges: tuple[float, ...] = ()

    @property
    def shared_settings(self) -> tuple[DenseEmbedding, int]:
        """Settings that features need to have in common to be computed at once: all but the places of the edges."""
        return replace(self, edges=()), len(self.edges)


class Encoder(ABC):
    """Last stage of a feature: maps the values of an input to the feature's Column."""

    @abstractmethod
    def encode(self, array: pa.Array, bad: BadRows) -> Column:
        """Read an Arrow column of B rows and encode it."""

    @abstractmethod
    def finish(self, rows: Jagged, array: pa.Array, bad: BadRows) -> Column:
        """Encode B rows of values; `array` is the column that bad rows are reported with."""

    def with_bucketizer(self, wrap: Callable[[Bucketizer], Bucketizer]) -> Encoder:
        """See `Feature.with_bucketizer`; an encoder without a bucketizer returns itself."""
        return self


class Feature:
    """One feature. Subclasses live in the module named after their oneof member.

    Attributes:
        name: output name, unique in the config.
        inputs: the inputs, in declared order.
        table: the embedding table, None for a dense feature.
        embedding: embedding of the numbers of a dense feature, None if they enter the model unchanged.
        is_sparse: true if `encode` returns ids.
        is_weighted: true if the ids carry weights.
        dim: width of the dense values, 0 for a sparse feature.
        is_stub: true if the feature is only an input of other features.
        masked_input: name of the input that is empty in masked rows; "" if masking does not apply.
        is_sequence: true if each row holds a sequence of elements.
        sequence: name of the sequence_feature that it belongs to; "" outside of one.
        data_group: data group of its rows, one of BASE, NEG and CNEG.
        encoder: last stage of `encode`.
    """

    name: str
    inputs: tuple[FeatureInput, ...]
    table: Table | None
    embedding: DenseEmbedding | None = None
    is_sparse: bool
    is_weighted: bool = False
    dim: int = 0
    is_stub: bool = False
    masked_input: str = ""
    is_sequence: bool = False
    sequence: str = ""
    data_group: str = BASE
    encoder: Encoder

    @property
    def output_dim(self) -> int:
        """Width that this feature adds to a DEEP group."""
        embedded = self.table or self.embedding
        return embedded.dim if embedded else self.dim

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        """Encode the raw input arrays, each one contiguous (not chunked) Arrow array of B rows."""
        raise NotImplementedError

    def with_bucketizer(self, wrap: Callable[[Bucketizer], Bucketizer]) -> Feature:
        """Return a copy that maps values to ids with `wrap(bucketizer)` in place of its own bucketizer.

        The default is an id of the replaced bucketizer, so the copy has none: rows without values stay empty. A feature
        without a bucketizer is copied unchanged.
        """
        feature = copy.copy(self)
        feature.encoder = self.encoder.with_bucketizer(wrap)
        return feature
