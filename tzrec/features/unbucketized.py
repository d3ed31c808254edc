"""Encoding for FG_BUCKETIZE: sparse features are written as the values that their ids are made from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tzrec.config.sequences import FeatureMember
from tzrec.features.arrays import Int64Array
from tzrec.features.arrow import is_single, to_arrow
from tzrec.features.bad_rows import BadRows, InvalidValues
from tzrec.features.base import Feature
from tzrec.features.bucketize import Bucketizer
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.features.jagged import Elements
from tzrec.features.text.spans import Spans
from tzrec.protos.feature_pb2 import TokenizeFeature


class _ValueRecorder(Bucketizer):
    """Bucketizer that returns the positions of values in place of their ids and keeps the values of one batch."""

    def __init__(self, bucketizer: Bucketizer) -> None:
        self.rows = bucketizer.rows
        self.values: Elements = np.empty(0, np.int64)
        self._bucketizer = bucketizer

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        _, invalid = self._bucketizer(elements)
        self.values = self._bucketizer.encoded_values(elements)
        return np.arange(len(elements)), invalid


class _RecordedFeature(Feature):
    """A feature that also stores the values of its ids."""

    def __init__(self, feature: Feature, member: FeatureMember, arrays: dict[str, pa.Array]) -> None:
        """
        Args:
            feature: the feature.
            member: its entry in the config.
            arrays: receives the values as an Arrow array, by the feature's name.
        """
        self.name, self.inputs, self.is_stub = feature.name, feature.inputs, feature.is_stub
        self.sequence, self.masked_input = feature.sequence, feature.masked_input
        self._feature, self._member, self._arrays = feature, member, arrays

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        column = self._feature.encode(columns, bad)
        if not self._feature.is_sparse:
            array = to_arrow(column, single=False)
        elif isinstance(self._member.message, TokenizeFeature):
            array = columns[self.inputs[0].name]  # the text itself: tokens are made when it is read
        else:
            array = self._values(columns, bad.size)
        self._arrays[self.name] = array
        return column

    def _values(self, columns: Mapping[str, pa.Array], rows: int) -> pa.Array:
        """Return the valid values of B rows; rows without any are empty, because the reader fills in the default."""
        recorders: list[_ValueRecorder] = []

        def record(bucketizer: Bucketizer) -> Bucketizer:
            recorders.append(_ValueRecorder(bucketizer))
            return recorders[-1]

        column = self._feature.with_bucketizer(record).encode(columns, BadRows(rows))
        (recorder,) = recorders
        if isinstance(recorder.values, Spans):  # never single: in a text that is not a list the reader splits values
            return to_arrow(column, False, recorder.values.to_arrow().cast(pa.string()).take(pa.array(column.values)))
        return to_arrow(column, is_single(self._member), pa.array(recorder.values[column.values]))


def encode_unbucketized(
    encoder: FeatureEncoder, entries: Mapping[str, FeatureMember], batch: pa.RecordBatch
) -> tuple[dict[str, pa.Array], BadRows]:
    """Encode a batch as Arrow columns of every feature but stubs, and return the rows with bad values.

    Args:
        encoder: of the raw columns.
        entries: the features in the config, by name.
        batch: B rows.
    """
    arrays: dict[str, pa.Array] = {}
    recorded = {name: _RecordedFeature(feature, entries[name], arrays) for name, feature in encoder.features.items()}
    columns, bad = encoder.with_features(recorded).encode(batch)
    return {name: arrays[name] for name in columns}, bad
