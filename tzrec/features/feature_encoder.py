"""FeatureEncoder: all features of a config, from a RecordBatch to Columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec import registry
from tzrec.config.sequences import FeatureMember, feature_members, inputs
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features.arrays import BoolArray
from tzrec.features.base import BadRows, Feature, FeatureInput
from tzrec.features.column import Column
from tzrec.features.dag import Dag, as_array, is_encoded, make_dag
from tzrec.features.types.sequence_feature import UNEQUAL, SequenceFeature, TokenSequence
from tzrec.protos import data_pb2, feature_pb2


class FeatureEncoder:
    """Encodes batches; threads may share it.

    Attributes:
        features: by name, in config order, stubs (which only other features read) included.
        columns: raw columns to read.
    """

    def __init__(self, features: Mapping[str, Feature], dag: Dag) -> None:
        self.features = dict(features)
        self.columns = dag.columns
        self._dag = dag
        self._user_orders: dict[frozenset[str], list[str]] = {}  # columns that users brought -> `_of_user`

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
        found = [
            (f"feature_configs[{index}]", config, list(feature_members(config)))
            for index, config in enumerate(feature_configs)
        ]
        sequences = {each.message.feature_name for *_, row in found for each in row if each.steps is not None}
        for path, config, row in found:
            if config.WhichOneof("feature") is None:
                problems.append(Problem(path, "empty; set one of id_feature, raw_feature, ..."))
            for member in row:
                here = f"{path}.{member.path}"
                try:
                    feature = _make(member, data_config, sequences)
                except ConfigError as error:
                    problems.extend(_under(here, problem) for problem in error.problems)
                    continue
                if feature.name in features:
                    problems.append(Problem(f"{here}.feature_name", f'"{feature.name}" is the name of another feature'))
                features[feature.name] = feature
                paths[feature.name] = f"{here}.expression"
        if problems:
            raise ConfigError(problems)
        linked = data_config.fg_mode == data_pb2.FG_DAG
        return cls(features, make_dag(_needed(features, data_config), paths, linked))

    def of(self, features: Mapping[str, Feature]) -> FeatureEncoder:
        """The same encoder with other objects for its features, by name."""
        return FeatureEncoder(features, self._dag)

    def encode(self, batch: pa.RecordBatch, masked: BoolArray | None = None) -> tuple[dict[str, Column], BadRows]:
        """Encode B rows.

        Args:
            batch: a RecordBatch (or Table) with at least `columns`.
            masked: rows in which features with use_mask see no value, `(B,)`; None for none.

        Returns:
            a Column of every feature that is no stub, in config order, and which rows hold bad values.

        Raises:
            DataError: a column is missing or has a type that a feature cannot read.
        """
        bad = BadRows(batch.num_rows)
        arrays = {name: _whole(batch, name) for name in self.columns}
        outputs: dict[str, Column] = {}
        places = None if masked is None else pa.array(np.arange(batch.num_rows), mask=masked)
        self._run(self._dag.order, arrays, outputs, bad, places)
        return self._kept(outputs, bad), bad

    def encode_request(self, user: pa.RecordBatch, items: pa.RecordBatch) -> tuple[dict[str, Column], BadRows]:
        """Encode B items for one user: the same as `encode` of B rows that all begin with the user's columns.

        What depends on the user alone is encoded once.

        Args:
            user: one row; columns that the items have too are theirs.
            items: B rows.

        Raises:
            DataError: as `encode`.
        """
        rows, lone = items.num_rows, BadRows(1)
        columns = frozenset(self.columns).intersection(user.schema.names).difference(items.schema.names)
        order = self._of_user(columns)
        given = {name: _whole(user if name in columns else items, name) for name in self.columns}
        outputs: dict[str, Column] = {}
        self._run(order, given, outputs, lone)
        outputs = {name: column.repeat(rows) for name, column in outputs.items()}
        bad = lone.repeat(rows)
        rest = [name for name in self._dag.order if name not in outputs]
        places = pa.array(np.zeros(rows, np.int64))
        read = {each.name for name in rest for each in self.features[name].inputs if self._dag.is_column(each)}
        arrays = {name: given[name].take(places) if name in columns else given[name] for name in read}
        self._run(rest, arrays, outputs, bad)
        return self._kept(outputs, bad), bad

    def _of_user(self, columns: frozenset[str]) -> list[str]:
        """Features that read nothing but these columns in the end, in the order in which they are encoded."""
        if columns not in self._user_orders:
            found: list[str] = []
            for name in self._dag.order:
                inputs = self.features[name].inputs
                sources = [each.name in (columns if self._dag.is_column(each) else found) for each in inputs]
                consts = [each.side == "const" and not self._dag.is_column(each) for each in inputs]
                if all(known or const for known, const in zip(sources, consts)):
                    found.append(name)
            self._user_orders[columns] = found
        return self._user_orders[columns]

    def _run(
        self,
        order: Sequence[str],
        arrays: Mapping[str, pa.Array],
        outputs: dict[str, Column],
        bad: BadRows,
        places: pa.Array | None = None,
    ) -> None:
        """Encode these features; what they read of others is in `outputs`, where theirs are put too.

        `places` are the numbers of the rows, null where they are masked; None where none is.
        """
        for name in order:
            feature = self.features[name]
            sources = {source.name: self._source(source, arrays, outputs, bad.size) for source in feature.inputs}
            if feature.masked_input and places is not None:
                sources[feature.masked_input] = sources[feature.masked_input].take(places)
            outputs[name] = feature.encode(sources, bad)

    def _kept(self, outputs: Mapping[str, Column], bad: BadRows) -> dict[str, Column]:
        self._report_unequal(outputs, bad)
        return {name: outputs[name] for name, feature in self.features.items() if name in outputs and not feature.stub}

    def _report_unequal(self, outputs: Mapping[str, Column], bad: BadRows) -> None:
        """Features of one sequence_feature belong together step by step."""
        first: dict[str, str] = {}
        for name, column in outputs.items():
            group = self.features[name].sequence
            if group and first.setdefault(group, name) != name:
                ours, theirs = column.sequence_lengths, outputs[first[group]].sequence_lengths
                assert ours is not None and theirs is not None
                rows = np.flatnonzero(ours != theirs)
                counts = [f"{n} steps, not the {m} of {first[group]}" for n, m in zip(ours[rows], theirs[rows])]
                bad.report(name, UNEQUAL, rows, counts)

    def _source(
        self, source: FeatureInput, arrays: Mapping[str, pa.Array], outputs: Mapping[str, Column], rows: int
    ) -> pa.Array:
        if self._dag.is_column(source):
            return arrays[source.name]
        if source.side == "const":
            return pa.repeat(source.name, rows)
        return as_array(outputs[source.name])


def _needed(features: Mapping[str, Feature], data: data_pb2.DataConfig) -> dict[str, Feature]:
    """Encoded data has no columns for stubs."""
    return {name: feature for name, feature in features.items() if not (is_encoded(data) and feature.stub)}


def _make(member: FeatureMember, data: data_pb2.DataConfig, sequences: Collection[str]) -> Feature:
    """The feature of a member of feature_configs; `sequences` are the names of all that are sequences."""
    message, steps = member.message, member.steps
    is_none = data.fg_mode == data_pb2.FG_NONE
    make = registry.load_class(member.field, "tzrec.features.types")
    if is_none and message.use_mask and steps is None and not message.HasField("fg_encoded_default_value"):
        message = _with_default(message, make, data)
    feature: Feature = make(message, data)
    if steps is not None and steps.tokens and not is_none:
        feature = TokenSequence(feature, steps.limit)
    elif steps is not None:
        linked = (each.name for each in feature.inputs if each.side == "feature" and each.name in sequences)
        names = (each.name for each in feature.inputs) if is_encoded(data) else steps.inputs.union(linked)
        feature = SequenceFeature(feature, replace(steps, inputs=frozenset(names)), fill=not is_none)
    if message.use_mask:
        feature.masked_input = feature.inputs[0].name if is_encoded(data) else _first_value(message)
    return feature


def _first_value(message: Any) -> str:
    """Name of a feature's first input that is no map to look things up in."""
    values = (text for field, text in inputs(message) if field not in ("map", "nested_map"))
    return next(values, "").partition(":")[2]


def _with_default(message: Any, make: Callable[..., Feature], data: data_pb2.DataConfig) -> Any:
    """The message with the default of a missing value as encoded data holds it, for rows that are masked."""
    raw = data_pb2.DataConfig()
    raw.CopyFrom(data)
    raw.fg_mode = data_pb2.FG_DAG
    feature = make(message, raw)
    column = feature.encode({each.name: pa.nulls(1) for each in feature.inputs}, BadRows(1))
    values = column.values.ravel().tolist()
    if column.weights is not None:
        values = [f"{value}:{weight}" for value, weight in zip(values, column.weights.tolist())]
    copy = type(message)()
    copy.CopyFrom(message)
    copy.fg_encoded_default_value = data.fg_encoded_multival_sep.join(map(str, values))
    return copy


def _under(path: str, problem: Problem) -> Problem:
    """A feature knows its own fields; here they get the path of the feature."""
    return Problem(f"{path}.{problem.field}" if problem.field else path, problem.message)


def _whole(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column as one array."""
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise DataError(f'no column "{name}" in the data; there are {", ".join(batch.schema.names)}')
    column = batch.column(index)
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
