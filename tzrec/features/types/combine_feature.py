"""combine_feature: several values of a column, mapped to numbers and combined to one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import ConfigError, Problem
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Encoder, Feature
from tzrec.features.bucketize import Boundaries, Bucketizer, Identity, table_rows
from tzrec.features.column import Column
from tzrec.features.encoders.combined import CombinedEncoder, read_combiner
from tzrec.features.encoders.dense import make_dense_embedding, make_dense_encoder
from tzrec.features.encoders.sparse import make_number_ids_encoder, make_table
from tzrec.features.inputs import is_encoded, read_input
from tzrec.features.jagged import Jagged, read_jagged
from tzrec.features.normalizer import make_normalizer
from tzrec.features.text.spans import Spans
from tzrec.features.text.words import read_words
from tzrec.protos import data_pb2, feature_pb2


class CombineFeature(Feature):
    """One number combined from several: dense, or an id by num_buckets or boundaries.

    With a value_map the words of the column are mapped to numbers, and unlisted words count as missing. A dense feature
    without default_value is 0 in missing rows.
    """

    def __init__(self, config: feature_pb2.CombineFeature, data: data_pb2.DataConfig) -> None:
        source = read_input(config, data)
        bucketizer = _make_bucketizer(config, data)
        self.name = config.feature_name
        self.inputs = (source,)
        self.is_stub = config.stub_type
        self.is_sparse = bucketizer is not None
        self.table = make_table(config, bucketizer.rows) if bucketizer else None
        self.dim = 0 if bucketizer else 1
        self.embedding = make_dense_embedding(config, self.dim)
        self._is_encoded = is_encoded(data)
        self._separator = config.separator
        self._words = pa.array(config.value_map.keys(), pa.large_string())
        self._numbers = np.array(list(config.value_map.values()), np.float64)
        encoder = _make_encoder(source.name, config, data, bucketizer)
        self.encoder = CombinedEncoder(source.name, read_combiner(config), encoder)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        column = self.inputs[0].name
        array = columns[column]
        if self._is_encoded:
            return self.encoder.encode(array, bad)
        rows = self._read_mapped(array, bad) if len(self._words) else read_jagged(array, column, self._separator)
        return self.encoder.finish(rows, array, bad)

    def _read_mapped(self, array: pa.Array, bad: BadRows) -> Jagged:
        """Read the numbers of listed words."""
        words = read_words(array, self.inputs[0].name, self._separator, bad)
        assert isinstance(words.elements, Spans)
        indices = pc.index_in(words.elements.to_arrow(), value_set=self._words)
        is_listed = indices.is_valid().to_numpy(zero_copy_only=False)
        return Jagged(self._numbers[indices.drop_null().to_numpy()], words.keep(is_listed).lengths)


def _make_bucketizer(config: feature_pb2.CombineFeature, data: data_pb2.DataConfig) -> Bucketizer | None:
    if config.HasField("num_buckets") and config.boundaries:
        raise ConfigError([Problem("boundaries", "num_buckets and boundaries are set; choose one")])
    if config.HasField("num_buckets"):
        if config.normalizer:
            raise ConfigError([Problem("normalizer", "num_buckets uses whole numbers unchanged; leave it out")])
        return Identity(table_rows(config, "num_buckets"))
    if not config.boundaries:
        return None
    return Boundaries(config.boundaries, None if is_encoded(data) else make_normalizer(config))


def _make_encoder(
    column: str, config: feature_pb2.CombineFeature, data: data_pb2.DataConfig, bucketizer: Bucketizer | None
) -> Encoder:
    if bucketizer is not None:
        return make_number_ids_encoder(column, config, data, bucketizer)
    default = config.default_value if config.HasField("default_value") else "0"
    return make_dense_encoder(column, config, data, 1, config.separator, default, make_normalizer(config))
