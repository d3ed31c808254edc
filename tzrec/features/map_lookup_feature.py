"""FoundFeature: what lookup_feature and match_feature have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features import bucketize
from tzrec.features.base import BadRows, Feature, FeatureInput
from tzrec.features.bucketize import Boundaries, Bucketizer
from tzrec.features.column import Column
from tzrec.features.dag import is_encoded
from tzrec.features.encoders.combined import CombinedEncoder
from tzrec.features.encoders.dense import DenseEncoder, dense_embedding, dense_encoder
from tzrec.features.encoders.sparse import SparseEncoder, numbers_encoder, sparse_encoder, table_of
from tzrec.features.jagged import Jagged
from tzrec.features.normalizer import normalizer_of
from tzrec.protos import data_pb2

Encoder = SparseEncoder | DenseEncoder | CombinedEncoder


class MapLookupFeature(Feature):
    """Values found by keys: ids, each value one of them, or numbers that are combined.

    They are ids where a bucketizer other than boundaries is set, where need_discrete says so, or where keys are shown
    in the values. With boundaries alone the combined number is one id.
    """

    def __init__(
        self, config: Any, data: data_pb2.DataConfig, inputs: tuple[FeatureInput, ...], shown: str, combiner: str
    ) -> None:
        """
        Args:
            config: the feature's message.
            data: how data is read.
            inputs: the map first.
            shown: name of the field that puts keys before values; empty where none does.
            combiner: one of COMBINERS; empty for each number of its own.
        """
        self.name = config.feature_name
        self.inputs = inputs
        self.stub = config.stub_type
        bucketizer = _bucketizer(config, data, shown)
        discrete = config.need_discrete or not combiner or not isinstance(bucketizer, Boundaries | None)
        if discrete and bucketizer is None:
            field = "need_discrete" if config.need_discrete else "combiner"
            raise ConfigError([Problem(field, f"values that are ids need one of {', '.join(bucketize.NAMES)}")])
        self.is_sparse = bucketizer is not None
        self.table = table_of(config, bucketizer.rows) if bucketizer else None
        dim = 1 if discrete else _width(config)
        self.dim = 0 if self.is_sparse else dim
        self.embedding = dense_embedding(config, self.dim)
        self._is_encoded = is_encoded(data)
        self._encoder = _encoder(inputs[0].name, config, data, bucketizer, "" if discrete else combiner, dim)

    def find(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Jagged:
        """The values found in B rows."""
        raise NotImplementedError

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        array = columns[self.inputs[0].name]
        if self._is_encoded:
            assert not isinstance(self._encoder, CombinedEncoder)
            return self._encoder.encode(array, bad)
        return self._encoder.finish(self.find(columns, bad), array, bad)


def _bucketizer(config: Any, data: data_pb2.DataConfig, shown: str) -> Bucketizer | None:
    if shown and not {"hash_bucket_size", "vocab_list", "vocab_dict", "vocab_file"} & set(bucketize.chosen(config)):
        message = "values that begin with a key are text: use hash_bucket_size, vocab_list, vocab_dict or vocab_file"
        raise ConfigError([Problem(shown, message)])
    if bucketize.chosen(config) and config.boundaries:
        raise ConfigError([Problem("boundaries", f"{bucketize.chosen(config)[0]} is set as well; choose one")])
    if config.boundaries:
        return Boundaries(config.boundaries, None if is_encoded(data) else normalizer_of(config))
    return bucketize.from_config(config, data) if bucketize.chosen(config) else None


def _width(config: Any) -> int:
    width = config.value_dim if config.HasField("value_dim") else 1
    if width == 0:
        raise ConfigError([Problem("value_dim", "0 (any number of values) is for ids; numbers have a fixed width")])
    return int(width)


def _encoder(
    column: str, config: Any, data: data_pb2.DataConfig, bucketizer: Bucketizer | None, combiner: str, dim: int
) -> Encoder:
    inner: SparseEncoder | DenseEncoder
    separator = getattr(config, "value_separator", "")
    if bucketizer is None:
        inner = dense_encoder(column, config, data, dim, separator, config.default_value, normalizer_of(config))
    elif combiner:
        inner = numbers_encoder(column, config, data, bucketizer, dim, separator)
    else:
        inner = sparse_encoder(column, bucketizer, config, data)
    if combiner and not is_encoded(data):
        return CombinedEncoder(column, combiner, inner, dim, separator)
    return inner
