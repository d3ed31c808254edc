"""Features of a column whose rows hold several values: pooled ids, weighted ids, sequences, buckets of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tzrec.profile.column_reading import ColumnReading
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.quantities import Kind
from tzrec.profile.rules import boundaries
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.model_pb2 import FeatureGroupConfig, FeatureGroupType
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_MAX_LENGTH = 100
"""Elements of a sequence that are read at most."""


def list_features(
    reading: ColumnReading, stats: ColumnStats, fields: dict[str, Any], table: str
) -> Iterator[FeatureConfig]:
    """Yield the features of a column of lists.

    Args:
        reading: of the column.
        stats: of its values.
        fields: name and expression.
        table: name of the table of the ids that the lists share values with; "" if there are none.
    """
    shape = reading.shape
    shared = {"embedding_name": table} if table else {}
    if reading.kind == Kind.SEQUENCE:
        separator = {"sequence_delim": shape.separator} if shape.separator else {}
        length = {"sequence_length": min(max(stats.widths[1], 1), _MAX_LENGTH)}
        any_number = {"value_dim": 0} if shape.is_nested else {}
        yield FeatureConfig(sequence_id_feature={**fields, **shared, **length, **separator, **any_number})
        return
    separator = {"separator": shape.separator} if shape.separator else {}
    if stats.is_numeric and not stats.is_whole and reading.kind == Kind.VALUES:
        edges = boundaries(stats)
        if edges is not None:
            buckets = {"boundaries": edges.value, "value_dim": 0, "pooling": "mean"}
            yield FeatureConfig(raw_feature={**fields, **separator, **buckets})
        return
    weights = {"weighted": True} if reading.kind == Kind.WEIGHTS else {}
    yield FeatureConfig(id_feature={**fields, **shared, **separator, **weights, "pooling": "mean"})


def group_of_features(config: EasyRecConfig, name: str) -> FeatureGroupConfig:
    """A DEEP group of all features, in which an encoder reads each sequence.

    A sequence that shares the table of another feature is compared with it.
    """
    group = FeatureGroupConfig(group_name=name, group_type=FeatureGroupType.DEEP)
    kinds = [(feature.WhichOneof("feature") or "", feature) for feature in config.feature_configs]
    name_by_table = {
        feature.id_feature.embedding_name or f"{feature.id_feature.feature_name}_emb": feature.id_feature.feature_name
        for kind, feature in reversed(kinds)
        if kind == "id_feature"
    }
    for kind, feature in kinds:
        message = getattr(feature, kind)
        if kind == "sequence_id_feature":
            _add_sequence(group, message.feature_name, name_by_table.get(message.embedding_name))
        else:
            group.feature_names.append(message.feature_name)
    return group


def _add_sequence(group: FeatureGroupConfig, name: str, query: str | None) -> None:
    """Add a sequence and its encoder; `query` is the feature that its elements are compared with."""
    sequence = f"{name}_sequence"
    group.sequence_groups.add(group_name=sequence, feature_names=[query, name] if query else [name])
    encoder = group.sequence_encoders.add()
    if query:
        encoder.din_encoder.input = sequence
        encoder.din_encoder.attn_mlp.hidden_units.extend([32, 16])
    else:
        encoder.pooling_encoder.input = sequence
