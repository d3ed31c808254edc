"""Segments: metrics of a sample of rows by the value of a feature, and by values that training has seen or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tzrec.data.batch import BASE, Batch
from tzrec.features.arrays import BoolArray, Int64Array
from tzrec.features.base import Feature
from tzrec.features.encoders.sparse import SparseEncoder
from tzrec.profile.feature_bins import Values
from tzrec.run.score_statistics import Floats, segment_statistics

MIN_IDS = 50
"""Different ids of a feature in a sample, from which on known and new ids are compared."""
_MAX_SEGMENTS = 12
_NUM_QUANTILES = 4
_LEAST_ROWS = 20


def feature_columns(batches: Sequence[Batch], features: Mapping[str, Feature]) -> dict[str, Values]:
    """Read the first id, or the number, of each row of all features that have one, `(rows,)` by name.

    An id is -1 where a row has none. Features with several ids in a row and those of sequences are left out.
    """
    columns: dict[str, Values] = {}
    for name, feature in features.items():
        parts = [part for part in (_column(batch, name, feature) for batch in batches) if part is not None]
        if parts and len(parts) == len(batches):
            columns[name] = np.concatenate(parts)
    return columns


def _column(batch: Batch, name: str, feature: Feature) -> Values | None:
    keys = {group: ids.keys() for group, ids in batch.sparse.items()}
    if name in keys.get(BASE, ()):
        if int(batch.sparse[BASE][name].lengths().max()) > 1:
            return None
        return batch.first_ids(name)[: batch.rows].numpy()
    keys = {group: values.keys() for group, values in batch.dense.items()}
    if feature.dim == 1 and name in keys.get(BASE, ()):
        return batch.dense[BASE][name][: batch.rows, 0].double().numpy()
    return None


def segments_of(column: Values, feature: Feature) -> dict[str, BoolArray]:
    """Divide rows by the values of a feature with few of them, or by quartiles of a number; {} for many ids.

    Args:
        column: see `feature_columns`, `(rows,)`.
        feature: of the column.
    """
    values = np.unique(column)
    if column.dtype.kind == "i":
        if not 2 <= len(values) <= _MAX_SEGMENTS:
            return {}
        return {_id_name(int(value), feature): column == value for value in values}
    if len(values) <= _NUM_QUANTILES:
        return {f"{value:.4g}": column == value for value in values} if len(values) > 1 else {}
    edges = np.unique(np.quantile(column, np.linspace(0, 1, _NUM_QUANTILES + 1)[1:-1]))
    bins = np.searchsorted(edges, column, side="right")
    names = [f"part {number + 1} of {len(edges) + 1}" for number in range(len(edges) + 1)]
    names[0], names[-1] = f"{names[0]}, lowest", f"{names[-1]}, highest"  # values may be normalized: edges say nothing
    return {name: bins == number for number, name in enumerate(names)}


def _id_name(value: int, feature: Feature) -> str:
    if value < 0:
        return "missing"
    encoder = feature.encoder if hasattr(feature, "encoder") else None
    return encoder.bucketizer.describe(value) if isinstance(encoder, SparseEncoder) else str(value)


def known_segments(column: Int64Array, known_ids: Int64Array) -> dict[str, BoolArray]:
    """Divide rows by ids that training has updated and those that it has not; {} without both."""
    is_known = np.isin(column, known_ids)
    if is_known.all() or not is_known.any():
        return {}
    return {"seen in training": is_known, "new": ~is_known}


def segment_rows(
    kind: str, scores: Floats, labels: Floats, feature: str, segments: Mapping[str, BoolArray]
) -> list[dict[str, Any]]:
    """Compute the metric of each segment with at least 20 rows.

    Args:
        kind: of the task, see `score_statistics.STATISTICS`.
        scores, labels: of the task, `(N,)`.
        feature: name of the feature.
        segments: name -> rows, `(N,)`.
    """
    rows = []
    for name, is_in in segments.items():
        if is_in.sum() >= _LEAST_ROWS:
            values = segment_statistics(kind, scores[is_in], labels[is_in])
            rows.append({"feature": feature, "segment": name, "rows": int(is_in.sum()), **values})
    return rows if len(rows) > 1 else []
