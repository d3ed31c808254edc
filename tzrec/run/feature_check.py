"""Check of features in the first rows of the data: what they make of their columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.completion import ENCODED
from tzrec.config.rules.feature_entry import FeatureEntry
from tzrec.config.schema import fields_of
from tzrec.errors import DataError
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.formatting import shorten
from tzrec.profile.label_evidence import LabelEvidence
from tzrec.profile.row_sample import RowSample
from tzrec.run.data_sample import Sample, column_features

_MAX_NUMBER = 1e4
"""Numbers above it hide all others from a layer that reads them as they are."""
_SEPARATORS = (";", "|", "\x1d", "\x02", "\x03", ",")
_MIN_VALUES = 10
_LEAK_ROWS = 5000
"""Rows that are enough to tell whether a column tells a label, for configs of many features."""


def check_features(sample: Sample, encoder: FeatureEncoder) -> None:
    """Encode features one at a time, so that a wrong type of one does not hide problems of the next."""
    for entry in column_features(sample.checker):
        feature = encoder.features[entry.name]
        columns = {column.name: sample.batch.column(column.name) for column in feature.inputs}
        num_reports = len(sample.bad_rows.reports)
        try:
            column = feature.encode(columns, sample.bad_rows)
        except DataError as error:
            sample.checker.error(entry.path, str(error))
            continue
        if sample.is_training and len(sample.bad_rows.reports) == num_reports:  # bad values are told of themselves
            raw = next(iter(columns.values())) if len(columns) == 1 else None
            _warn(sample, entry, column, raw)


def warn_of_leaks(sample: Sample) -> None:
    """Warn of columns of features that tell a label by themselves, as what is written after the event does."""
    rows = RowSample()
    rows.add_batch(sample.batch.slice(0, _LEAK_ROWS))
    labels = list(sample.checker.config.data_config.label_fields)
    evidence = LabelEvidence(rows, labels)
    for entry in column_features(sample.checker):
        columns = [text.partition(":")[2] for text in entry.reads]
        leak = evidence.leak(columns[0]) if len(columns) == 1 and columns[0] not in labels else None
        if leak:
            received = f'"{columns[0]}" alone tells the label "{leak.label}" (AUC {leak.area:.3f})'
            sample.checker.warning(entry.path, f"{received}; remove the feature unless it exists at prediction time")


def _warn(sample: Sample, entry: FeatureEntry, column: Column, raw: pa.Array | None) -> None:
    """Warn of the first thing that makes a feature useless; `raw` is its only column `(B,)`."""
    is_encoded = sample.checker.config.data_config.fg_mode in ENCODED
    separator = "" if raw is None or is_encoded else _unsplit_by(entry, column, raw)
    if separator:
        field = "sequence_delim" if entry.sequence is not None else "separator"
        received = f"the values of {entry.name} are not divided, and hold {separator!r} (e.g. {_example(raw)})"
        sample.checker.warning(entry.path, f"{received}; set {field}: {separator!r}")
    elif sample.batch.num_rows > 1 and _is_constant(column):
        cause = _cause(raw)
        sample.checker.warning(entry.path, f'"{entry.name}" is the same in {sample.extent}: {cause}')
    elif raw is not None and not is_encoded and _has_one(column) and _num_distinct(raw) > 2 * _hash_size(entry):
        num, size = _num_distinct(raw), _hash_size(entry)
        received = f"{num:,} values in the first rows share {size:,} rows of the table"
        sample.checker.warning(f"{entry.path}.hash_bucket_size", f"{received}; set it to at least {2 * num:,}")
    elif column.dim and entry.sequence is None and not _is_scaled(entry) and len(column.values):
        most = float(np.abs(column.values).max())
        if most > _MAX_NUMBER:
            received = f'"{entry.name}" goes up to {most:.3g} and is read as it is, which hides all other features'
            sample.checker.warning(entry.path, f"{received}; set normalizer: {_normalizer(column)}, or boundaries")


def _unsplit_by(entry: FeatureEntry, column: Column, raw: pa.Array) -> str:
    """The separator of a column of text whose values the feature does not divide; "" if there is none.

    Parts that come back in other rows are values of their own; those of titles and sentences rarely do.
    """
    counts = column.sequence_lengths if entry.sequence is not None else column.lengths
    if not (pa.types.is_string(raw.type) or pa.types.is_large_string(raw.type)) or column.dim:
        return ""
    if counts is not None and len(counts) and counts.max() > 1:
        return ""
    texts = raw.drop_null()
    for separator in _SEPARATORS:
        if len(texts) < _MIN_VALUES or 2 * pc.sum(pc.match_substring(texts, separator)).as_py() < len(texts):
            continue
        parts = pc.list_flatten(pc.split_pattern(texts, separator))
        if 2 * pc.count_distinct(parts).as_py() < pc.count_distinct(texts).as_py():
            return separator
    return ""


def _has_one(column: Column) -> bool:
    """True if no row has more than one value."""
    lengths = column.lengths
    return column.sequence_lengths is None and (lengths is None or int(lengths.max(initial=0)) <= 1)


def _is_constant(column: Column) -> bool:
    """True if all rows have the same values; for sequences, if no row has an element."""
    if column.sequence_lengths is not None:
        return not column.sequence_lengths.any()
    values: Any = column.values
    if column.dim:
        return bool((values == values[0]).all())
    if column.lengths is not None and (column.lengths != column.lengths[0]).any():
        return False
    rows = values.reshape(column.num_rows, -1)  # (B, ids per row)
    return bool((rows == rows[0]).all())


def _cause(raw: pa.Array | None) -> str:
    """The cause of a constant feature, and the cure."""
    if raw is None:
        return "remove the feature, or check its inputs"
    if raw.null_count == len(raw):
        return "its column holds no values; remove the feature"
    if _num_distinct(raw) > 1:
        return f"its column does vary (e.g. {_example(raw)}); check its vocabulary, boundaries or number of buckets"
    return "remove the feature"


def _example(raw: pa.Array | None) -> str:
    values = raw.drop_null()[:1].to_pylist() if raw is not None else []
    return shorten(repr(values[0])) if values else "none"


def _num_distinct(raw: pa.Array) -> int:
    is_text = pa.types.is_string(raw.type) or pa.types.is_large_string(raw.type)
    return int(pc.count_distinct(raw).as_py()) if is_text or pa.types.is_primitive(raw.type) else 0


def _hash_size(entry: FeatureEntry) -> int:
    """Rows of the table that values are hashed to; more than any column has without a hash."""
    size: int = getattr(entry.message, "hash_bucket_size", 0)
    return size or 1 << 62


def _is_scaled(entry: FeatureEntry) -> bool:
    """True if a feature is computed, has a normalizer, or an embedding of its number."""
    known = fields_of(entry.message)
    has_dense_embedding = "dense_emb" in entry.message.DESCRIPTOR.oneofs_by_name and entry.message.WhichOneof(
        "dense_emb"
    )
    return "normalizer" not in known or bool(entry.message.normalizer or has_dense_embedding)


def _normalizer(column: Column) -> str:
    """A normalizer for the numbers of a column."""
    values: Any = column.values
    if values.min() >= 0:
        return '"method=log10,threshold=1,default=0"'
    mean, deviation = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    return f'"method=zscore,mean={mean:.4g},standard_deviation={deviation:.4g}"'
