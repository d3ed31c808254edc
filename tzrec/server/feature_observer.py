"""FeatureObserver: statistics of the features of requests to one version of a model."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.collate import ids_per_row
from tzrec.features.arrays import BoolArray, Int32Array
from tzrec.features.bucketize import Bucketizer, Vocabulary
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.profile.feature_bins import MAX_ROWS, first_values, stability_index
from tzrec.profile.training_profile import TrainingProfile
from tzrec.protos.observation_pb2 import FeatureStatistics
from tzrec.server.windowed import WindowedCounts


@dataclass
class FeatureTotals:
    """Counts of a feature since the server started.

    Attributes:
        rows: rows that were looked at; those of a user count once for all items of a request.
        missing: of them, rows in which all columns of the feature are null, empty text or an empty list.
        values: values that were looked up in a vocabulary.
        unlisted: of them, values that the vocabulary does not list. A missing value counts if its default is unlisted.
    """

    rows: int = 0
    missing: int = 0
    values: int = 0
    unlisted: int = 0


@dataclass
class ModelTotals:
    """Counts of a model since the server started, over all its versions.

    Attributes:
        requests: that were looked at.
        features: by name.
    """

    requests: int = 0
    features: dict[str, FeatureTotals] = field(default_factory=dict)


class FeatureObserver:
    """Counts what requests hold for each feature, and compares it with the training data. Threads may share it.

    Args:
        encoder: of the model.
        profile: of its training data; None without one.
        config: its window.
        totals: of the model, shared by its versions; extended by the features that are new.
    """

    def __init__(
        self,
        encoder: FeatureEncoder,
        profile: TrainingProfile | None,
        config: FeatureStatistics,
        totals: ModelTotals,
    ) -> None:
        self._encoder, self._config = encoder, config
        self._columns = {name: encoder.select_features([name]).columns for name in encoder.outputs}
        self._unlisted_ids = {
            name: bucketizer.oov
            for name in encoder.outputs
            for bucketizer in _bucketizers(encoder, name)
            if isinstance(bucketizer, Vocabulary)
        }
        for name in encoder.outputs:
            totals.features.setdefault(name, FeatureTotals())
        self._totals = totals
        self._profiles = dict(profile.features) if profile is not None else {}
        self._counts = {
            name: WindowedCounts(feature.bins.num_bins, config.window_s)
            for name, feature in self._profiles.items()
            if name in self._columns
        }
        self._requests = WindowedCounts(1, config.window_s)
        self._lock = threading.Lock()

    def observe(self, rows: pa.Table, user: pa.Table | None = None) -> None:
        """Look at a request, at its first rows if there are many.

        Args:
            rows: raw columns, B rows.
            user: raw columns that all rows have, one row; None if `rows` has all columns.

        Raises:
            DataError: a column cannot be read; the request was then refused.
        """
        items = _one_batch(rows.slice(0, MAX_ROWS))
        missing = {name: _missing(items.column(name)) for name in items.schema.names}
        if user is None:
            columns, _ = self._encoder.encode(items)
        else:
            users = _one_batch(user)
            request, _ = self._encoder.encode_request(users, items, np.zeros(items.num_rows, np.int64))
            columns = {**request.by_user, **request.by_item}
            missing = {name: _missing(users.column(name)) for name in users.schema.names} | missing
        with self._lock:
            self._totals.requests += 1
            self._requests.add(np.ones(1))
            for name, column in columns.items():
                self._observe_feature(name, column, missing)

    def drift(self) -> dict[str, float]:
        """Population stability index of each feature over the window; none of too few requests."""
        with self._lock:
            if self._requests.total()[0] < self._config.min_requests:
                return {}
            return {
                name: stability_index(self._profiles[name].counts, counts.total())
                for name, counts in self._counts.items()
            }

    def _observe_feature(self, name: str, column: Column, missing: Mapping[str, BoolArray]) -> None:
        totals = self._totals.features[name]
        masks = [missing[raw] for raw in self._columns[name]]
        totals.rows += column.num_rows
        if masks:
            totals.missing += int(np.logical_and.reduce(np.broadcast_arrays(*masks)).sum())
        if name in self._unlisted_ids:
            totals.values += len(column.values)
            totals.unlisted += int(np.count_nonzero(column.values == self._unlisted_ids[name]))
        if name in self._counts:
            lengths = column.lengths if column.sequence_lengths is None else _element_lengths(column)
            self._counts[name].add(self._profiles[name].bins.count(*first_values(column.values, lengths)))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]


def _bucketizers(encoder: FeatureEncoder, name: str) -> list[Bucketizer]:
    """List the bucketizers of a feature: one, or none."""
    bucketizers: list[Bucketizer] = []

    def collect(bucketizer: Bucketizer) -> Bucketizer:
        bucketizers.append(bucketizer)
        return bucketizer

    encoder.features[name].with_bucketizer(collect)
    return bucketizers


def _missing(array: pa.Array) -> BoolArray:
    """Mask of the rows without a value, `(B,)`: null, empty text or an empty list."""
    kind = array.type
    if pa.types.is_null(kind):
        return np.ones(len(array), np.bool_)
    lengths = None
    if any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)):
        lengths = pc.binary_length(array)
    elif any(check(kind) for check in (pa.types.is_list, pa.types.is_large_list)):
        lengths = pc.list_value_length(array)
    if lengths is not None:
        empty: BoolArray = pc.equal(lengths, 0).fill_null(True).to_numpy(zero_copy_only=False)
        return empty
    null: BoolArray = array.is_null().to_numpy(zero_copy_only=False)
    return null


def _element_lengths(column: Column) -> Int32Array | None:
    """Values of a sequence in each row, `(B,)`."""
    return ids_per_row(column) if column.is_sparse else column.sequence_lengths
