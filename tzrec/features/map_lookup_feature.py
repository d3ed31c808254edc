"""MapLookupFeature: base class of lookup_feature and match_feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tzrec.config.rules.bucketizer import set_bucketizers
from tzrec.errors import ConfigError, Problem
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Encoder, Feature, FeatureInput
from tzrec.features.bucketize import BUCKETIZERS, Boundaries, Bucketizer, make_bucketizer
from tzrec.features.column import Column
from tzrec.features.encoders.combined import CombinedEncoder
from tzrec.features.encoders.dense import make_dense_embedding, make_dense_encoder
from tzrec.features.encoders.sparse import make_number_ids_encoder, make_sparse_encoder, make_table
from tzrec.features.inputs import is_encoded
from tzrec.features.jagged import Jagged
from tzrec.features.normalizer import make_normalizer
from tzrec.protos import data_pb2


class MapLookupFeature(Feature):
    """Values looked up in a map by keys: one id per value, or numbers that are combined.

    Values are ids if a bucketizer other than boundaries is set, if need_discrete is set, or if they are prefixed by
    their keys. With boundaries alone the combined number is one id.
    """

    def __init__(
        self, config: Any, data: data_pb2.DataConfig, inputs: tuple[FeatureInput, ...], key_field: str, combiner: str
    ) -> None:
        """
        Args:
            config: the feature's message.
            data: the data_config.
            inputs: the inputs, the map first.
            key_field: name of the field that prefixes values by their keys; "" if they are not prefixed.
            combiner: one of COMBINERS; "" to keep every number.
        """
        self.name = config.feature_name
        self.inputs = inputs
        self.is_stub = config.stub_type
        bucketizer = _make_bucketizer(config, data, key_field)
        is_discrete = config.need_discrete or not combiner or not isinstance(bucketizer, Boundaries | None)
        if is_discrete and bucketizer is None:
            field = "need_discrete" if config.need_discrete else "combiner"
            raise ConfigError([Problem(field, f"values that are ids need one of {', '.join(BUCKETIZERS)}")])
        self.is_sparse = bucketizer is not None
        self.table = make_table(config, bucketizer.rows) if bucketizer else None
        dim = 1 if is_discrete else _read_width(config)
        self.dim = 0 if self.is_sparse else dim
        self.embedding = make_dense_embedding(config, self.dim)
        self._is_encoded = is_encoded(data)
        self.encoder = _make_encoder(inputs[0].name, config, data, bucketizer, "" if is_discrete else combiner, dim)

    def find(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Jagged:
        """Look up the values of B rows."""
        raise NotImplementedError

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        array = columns[self.inputs[0].name]
        if self._is_encoded:
            return self.encoder.encode(array, bad)
        return self.encoder.finish(self.find(columns, bad), array, bad)


def _make_bucketizer(config: Any, data: data_pb2.DataConfig, key_field: str) -> Bucketizer | None:
    chosen = set_bucketizers(config)
    if key_field and not {"hash_bucket_size", "vocab_list", "vocab_dict", "vocab_file"} & set(chosen):
        message = "values that begin with a key are text: use hash_bucket_size, vocab_list, vocab_dict or vocab_file"
        raise ConfigError([Problem(key_field, message)])
    if chosen and config.boundaries:
        raise ConfigError([Problem("boundaries", f"{chosen[0]} is set as well; choose one")])
    if config.boundaries:
        return Boundaries(config.boundaries, None if is_encoded(data) else make_normalizer(config))
    return make_bucketizer(config, data) if chosen else None


def _read_width(config: Any) -> int:
    width = config.value_dim if config.HasField("value_dim") else 1
    if width == 0:
        raise ConfigError(
            [Problem("value_dim", "0 (any number of values) is for ids only; numbers have a fixed width")]
        )
    return int(width)


def _make_encoder(
    column: str, config: Any, data: data_pb2.DataConfig, bucketizer: Bucketizer | None, combiner: str, dim: int
) -> Encoder:
    encoder: Encoder
    separator = getattr(config, "value_separator", "")
    if bucketizer is None:
        normalize = make_normalizer(config)
        encoder = make_dense_encoder(column, config, data, dim, separator, config.default_value, normalize)
    elif combiner:
        encoder = make_number_ids_encoder(column, config, data, bucketizer, dim, separator)
    else:
        encoder = make_sparse_encoder(column, bucketizer, config, data)
    return CombinedEncoder(column, combiner, encoder, dim, separator) if combiner else encoder
