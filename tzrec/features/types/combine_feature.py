"""combine_feature: several values of a column, mapped to numbers and combined to one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import BadRows, Feature
from tzrec.features.bucketize import Boundaries, Bucketizer, Identity, rows_of
from tzrec.features.column import Column
from tzrec.features.dag import is_encoded, single_input
from tzrec.features.encoders.combined import CombinedEncoder, combiner_of
from tzrec.features.encoders.dense import DenseEncoder, dense_embedding, dense_encoder
from tzrec.features.encoders.sparse import SparseEncoder, numbers_encoder, table_of
from tzrec.features.jagged import Jagged, read
from tzrec.features.normalizer import normalizer_of
from tzrec.features.text.spans import Spans
from tzrec.features.text.words import read_words
from tzrec.protos import data_pb2, feature_pb2


class CombineFeature(Feature):
    """One number of several: dense as it is, or an id by num_buckets or boundaries.

    With a value_map words stand for numbers, and words that it does not list count as missing. A dense feature
    without default_value has 0 where nothing is given.
    """

    def __init__(self, config: feature_pb2.CombineFeature, data: data_pb2.DataConfig) -> None:
        source = single_input(config, data)
        bucketizer = _bucketizer(config, data)
        self.name = config.feature_name
        self.inputs = (source,)
        self.stub = config.stub_type
        self.is_sparse = bucketizer is not None
        self.table = table_of(config, bucketizer.rows) if bucketizer else None
        self.dim = 0 if bucketizer else 1
        self.embedding = dense_embedding(config, self.dim)
        self._is_encoded = is_encoded(data)
        self._separator = config.separator
        self._words = pa.array(config.value_map.keys(), pa.large_string())
        self._numbers = np.array(list(config.value_map.values()), np.float64)
        self._inner = _encoder(source.name, config, data, bucketizer)
        self._encoder = CombinedEncoder(source.name, combiner_of(config), self._inner)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        column = self.inputs[0].name
        array = columns[column]
        if self._is_encoded:
            return self._inner.encode(array, bad)
        rows = self._mapped(array, bad) if len(self._words) else read(array, column, self._separator)
        return self._encoder.finish(rows, array, bad)

    def _mapped(self, array: pa.Array, bad: BadRows) -> Jagged:
        """The numbers of listed words."""
        words = read_words(array, self.inputs[0].name, self._separator, bad)
        assert isinstance(words.elements, Spans)
        at = pc.index_in(words.elements.arrow(), value_set=self._words)
        listed = at.is_valid().to_numpy(zero_copy_only=False)
        places = at.drop_null().to_numpy()
        return Jagged(self._numbers[places], words.keep(listed).lengths)


def _bucketizer(config: feature_pb2.CombineFeature, data: data_pb2.DataConfig) -> Bucketizer | None:
    if config.HasField("num_buckets") and config.boundaries:
        raise ConfigError([Problem("boundaries", "num_buckets and boundaries are set; choose one")])
    if config.HasField("num_buckets"):
        if config.normalizer:
            raise ConfigError([Problem("normalizer", "num_buckets takes whole numbers as they are; leave it out")])
        return Identity(rows_of(config, "num_buckets"))
    if not config.boundaries:
        return None
    return Boundaries(config.boundaries, None if is_encoded(data) else normalizer_of(config))


def _encoder(
    column: str, config: feature_pb2.CombineFeature, data: data_pb2.DataConfig, bucketizer: Bucketizer | None
) -> SparseEncoder | DenseEncoder:
    if bucketizer is not None:
        return numbers_encoder(column, config, data, bucketizer)
    default = config.default_value if config.HasField("default_value") else "0"
    return dense_encoder(column, config, data, 1, config.separator, default, normalizer_of(config))
