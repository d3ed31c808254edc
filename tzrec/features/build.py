"""FeatureEncoder: all features of a config, from a RecordBatch to Columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from google.protobuf.descriptor import FieldDescriptor

from tzrec import registry
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features.base import BadRows, Feature, Input
from tzrec.features.column import Column
from tzrec.features.dag import Dag, as_array, is_encoded, make_dag
from tzrec.protos import data_pb2, feature_pb2


class FeatureEncoder:
    """Encodes batches; holds no state, so threads may share it.

    Attributes:
        features: by name, in config order, stubs (which only other features read) included.
        columns: raw columns to read.
    """

    def __init__(self, features: Mapping[str, Feature], dag: Dag) -> None:
        self.features = dict(features)
        self.columns = dag.columns
        self._dag = dag

    @classmethod
    def from_config(
        cls, feature_configs: Sequence[feature_pb2.FeatureConfig], data_config: data_pb2.DataConfig
    ) -> FeatureEncoder:
        """Build every feature.

        Raises:
            ConfigError: all that is wrong with the features, with their paths.
        """
        features: dict[str, Feature] = {}
        paths: dict[str, str] = {}
        problems: list[Problem] = []
        for index, config in enumerate(feature_configs):
            path = f"feature_configs[{index}]"
            try:
                feature, path = _make(config, data_config, path)
            except ConfigError as error:
                problems.extend(error.problems)
                continue
            if feature.name in features:
                problems.append(Problem(f"{path}.feature_name", f'"{feature.name}" is the name of another feature'))
            features[feature.name] = feature
            paths[feature.name] = f"{path}.expression"
        if problems:
            raise ConfigError(problems)
        linked = data_config.fg_mode == data_pb2.FG_DAG
        return cls(features, make_dag(_needed(features, data_config), paths, linked))

    def encode(self, batch: pa.RecordBatch) -> tuple[dict[str, Column], BadRows]:
        """Encode B rows.

        Args:
            batch: a RecordBatch (or Table) with at least `columns`.

        Returns:
            a Column of every feature that is no stub, in config order, and which rows hold bad values.

        Raises:
            DataError: a column is missing or has a type that a feature cannot read.
        """
        bad = BadRows(batch.num_rows)
        arrays = {name: _whole(batch, name) for name in self.columns}
        outputs: dict[str, Column] = {}
        for name in self._dag.order:
            feature = self.features[name]
            sources = {source.name: self._source(source, arrays, outputs, batch.num_rows) for source in feature.inputs}
            outputs[name] = feature.encode(sources, bad)
        kept = {name: outputs[name] for name, feature in self.features.items() if not feature.stub}
        return kept, bad

    def _source(
        self, source: Input, arrays: Mapping[str, pa.Array], outputs: Mapping[str, Column], rows: int
    ) -> pa.Array:
        if self._dag.is_column(source):
            return arrays[source.name]
        if source.side == "const":
            return pa.repeat(source.name, rows)
        return as_array(outputs[source.name])


def _needed(features: Mapping[str, Feature], data: data_pb2.DataConfig) -> dict[str, Feature]:
    """Encoded data has no columns for stubs."""
    return {name: feature for name, feature in features.items() if not (is_encoded(data) and feature.stub)}


def _make(config: feature_pb2.FeatureConfig, data: data_pb2.DataConfig, path: str) -> tuple[Feature, str]:
    """The feature of one entry of feature_configs, and the path of its message."""
    member = registry.chosen(config, "feature")
    if member is None:
        raise ConfigError([Problem(path, "empty; set one of id_feature, raw_feature, ...")])
    field, message = member
    path = f"{path}.{field.name}"
    if not _is_implemented(field):
        raise ConfigError([Problem(path, "not implemented yet")])
    try:
        return registry.resolve(config, "feature", "tzrec.features")(message, data), path
    except ConfigError as error:
        raise ConfigError([_under(path, problem) for problem in error.problems]) from None


def _under(path: str, problem: Problem) -> Problem:
    """A feature knows its own fields; here they get the path of the feature."""
    return Problem(f"{path}.{problem.field}" if problem.field else path, problem.message)


def _is_implemented(field: FieldDescriptor) -> bool:
    return not field.name.startswith("sequence_") and registry.implemented(field, "tzrec.features")


def _whole(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column as one array."""
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise DataError(f'no column "{name}" in the data; there are {", ".join(batch.schema.names)}')
    column = batch.column(index)
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
