"""Data groups of the features: which of them have rows of sampled negatives."""

from __future__ import annotations

from collections.abc import Mapping

from tzrec.config.samplers import sampled_columns
from tzrec.features.base import CNEG, NEG, Feature
from tzrec.features.dag import Dag
from tzrec.protos.data_pb2 import DataConfig


def sampled_features(features: Mapping[str, Feature], dag: Dag, data: DataConfig) -> frozenset[str]:
    """Return the features that depend on a sampled column, directly or by other features."""
    columns = sampled_columns(data)
    sampled: set[str] = set()
    for name in dag.order:
        sources = features[name].inputs
        if any(source.name in (columns if dag.is_column(source) else sampled) for source in sources):
            sampled.add(name)
    return frozenset(sampled)


def assign_data_groups(features: Mapping[str, Feature], sampled: frozenset[str], data: DataConfig) -> None:
    """Set the data group of the features.

    A feature without sampled inputs is in BASE, one with a single, sampled input in NEG, and one of several inputs of
    which any is sampled in CNEG. With force_base_data_group all are in BASE.

    Args:
        features: by name.
        sampled: names of the features that depend on a sampled column.
        data: the data_config.
    """
    if data.force_base_data_group:
        return
    for name in sampled:
        features[name].data_group = NEG if len(features[name].inputs) == 1 else CNEG
