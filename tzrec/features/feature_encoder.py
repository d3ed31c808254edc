"""FeatureEncoder: all features of a config, from a RecordBatch to Columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec import registry
from tzrec.config.names import did_you_mean
from tzrec.config.sequences import FeatureMember, feature_members, inputs
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features.arrays import BoolArray, Int64Array
from tzrec.features.arrow import as_array
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Feature, FeatureInput
from tzrec.features.column import Column
from tzrec.features.column_types import readable
from tzrec.features.dag import Dag, make_dag
from tzrec.features.data_groups import assign_data_groups, sampled_features
from tzrec.features.inputs import is_encoded
from tzrec.features.types.sequence_feature import UNEQUAL, SequenceFeature, TokenSequence
from tzrec.protos import data_pb2, feature_pb2


@dataclass(frozen=True)
class EncodedRequest:
    """Encoded features of U users and of B items to score for them.

    Attributes:
        num_users: U.
        by_user: features that depend on the users alone, by name, U rows each.
        by_item: the other features, by name, B rows each.
        owners: user of each item, `(B,)`.
    """

    num_users: int
    by_user: dict[str, Column]
    by_item: dict[str, Column]
    owners: Int64Array

    def columns(self) -> dict[str, Column]:
        """All features by name, B rows each: those of a user are repeated for each of its items."""
        return {name: column.expand(self.owners) for name, column in self.by_user.items()} | self.by_item


class FeatureEncoder:
    """Encodes batches; threads may share it.

    Attributes:
        features: by name, in config order, including stubs (inputs of other features only).
        columns: raw columns to read.
        outputs: names of the features that `encode` returns, in config order.
        sampled: names of the features that depend on columns to which a sampler adds rows.
    """

    def __init__(
        self,
        features: Mapping[str, Feature],
        dag: Dag,
        outputs: Collection[str] | None = None,
        sampled: frozenset[str] = frozenset(),
    ) -> None:
        """
        Args:
            features: by name, in config order.
            dag: their order.
            outputs: names of the features to return; None for all but stubs.
            sampled: see the attribute.
        """
        self.sampled = sampled
        self.features = dict(features)
        self.columns = dag.columns
        self.outputs = tuple(
            name for name, feature in features.items() if (not feature.is_stub if outputs is None else name in outputs)
        )
        self._dag = dag
        self._computable: dict[frozenset[str], tuple[str, ...]] = {}  # by subset of `columns`

    @classmethod
    def from_config(
        cls, feature_configs: Sequence[feature_pb2.FeatureConfig], data_config: data_pb2.DataConfig
    ) -> FeatureEncoder:
        """Build every feature.

        Raises:
            ConfigError: all problems of the features, with their paths.
        """
        features: dict[str, Feature] = {}
        paths: dict[str, str] = {}
        problems: list[Problem] = []
        entries = [
            (f"feature_configs[{index}]", config, list(feature_members(config)))
            for index, config in enumerate(feature_configs)
        ]
        sequences = {
            member.message.feature_name for *_, members in entries for member in members if member.sequence is not None
        }
        for path, config, members in entries:
            if config.WhichOneof("feature") is None:
                problems.append(Problem(path, "empty; set one of id_feature, raw_feature, ..."))
            for member in members:
                member_path = f"{path}.{member.path}"
                try:
                    feature = _make_feature(member, data_config, sequences)
                except ConfigError as error:
                    problems.extend(_with_path(member_path, problem) for problem in error.problems)
                    continue
                if feature.name in features:
                    message = f'"{feature.name}" is the name of another feature'
                    problems.append(Problem(f"{member_path}.feature_name", message))
                features[feature.name] = feature
                paths[feature.name] = f"{member_path}.expression"
        if problems:
            raise ConfigError(problems)
        is_linked = data_config.fg_mode == data_pb2.FG_DAG
        dag = make_dag(_without_encoded_stubs(features, data_config), paths, is_linked)
        sampled = sampled_features(features, dag, data_config)
        assign_data_groups(features, sampled, data_config)
        return cls(features, dag, sampled=sampled)

    def with_features(self, features: Mapping[str, Feature]) -> FeatureEncoder:
        """Return the same encoder with other objects for its features, by name."""
        return FeatureEncoder(features, self._dag, self.outputs, self.sampled)

    def select(self, columns: Collection[str]) -> FeatureEncoder:
        """Return an encoder of the features that depend on these raw columns only, and on constants.

        This is one side of a two-tower model, for example. The features are shared with this encoder, and their
        encoding is the same.

        Args:
            columns: names of raw columns.
        """
        return self._part(self._computable_from(columns))

    def select_features(self, names: Collection[str]) -> FeatureEncoder:
        """Return an encoder of these features, which reads only the columns that they need.

        Args:
            names: names of features.

        Raises:
            ValueError: there is no such feature.
        """
        for name in names:
            if name not in self.features:
                raise ValueError(f'no feature "{name}"{did_you_mean(name, self.features)}')
        return self._part(self._dag.closure(self.features, frozenset(names)), names)

    def _part(self, order: Sequence[str], outputs: Collection[str] | None = None) -> FeatureEncoder:
        features = {name: feature for name, feature in self.features.items() if name in order}
        return FeatureEncoder(features, Dag.from_order(features, order, self._dag.is_linked), outputs, self.sampled)

    def _computable_from(self, columns: Collection[str]) -> tuple[str, ...]:
        known_columns = frozenset(self.columns).intersection(columns)
        if known_columns not in self._computable:
            self._computable[known_columns] = self._dag.computable(self.features, known_columns)
        return self._computable[known_columns]

    def encode(self, batch: pa.RecordBatch, masked: BoolArray | None = None) -> tuple[dict[str, Column], BadRows]:
        """Encode B rows.

        Args:
            batch: a RecordBatch (or Table) with at least `columns`.
            masked: rows in which features with use_mask are missing, `(B,)`; None for none.

        Returns:
            a Column of every feature in `outputs`, and the rows with bad values.

        Raises:
            DataError: a column is missing or has a type that a feature cannot read.
        """
        bad = BadRows(batch.num_rows)
        arrays = {name: readable(_contiguous(batch, name), name, bad) for name in self.columns}
        columns: dict[str, Column] = {}
        row_indices = None if masked is None else pa.array(np.arange(batch.num_rows), mask=masked)
        self._run(self._dag.order, arrays, columns, bad, row_indices)
        return self._finish(columns, bad), bad

    def encode_request(
        self, users: pa.RecordBatch, items: pa.RecordBatch, owners: Int64Array
    ) -> tuple[EncodedRequest, BadRows]:
        """Encode B items for U users: the same as `encode` of B rows that all begin with the columns of their user.

        Features that depend on the user alone are encoded once for each user.

        Args:
            users: U rows; columns that the items have too are taken from the items.
            items: B rows.
            owners: user of each item, `(B,)`.

        Returns:
            The columns, and the items with bad values.

        Raises:
            DataError: as `encode`.
        """
        user_bad, bad = BadRows(users.num_rows), BadRows(items.num_rows)
        user_columns = frozenset(self.columns).intersection(users.schema.names).difference(items.schema.names)
        received = {
            name: readable(_contiguous(users, name), name, user_bad)
            if name in user_columns
            else readable(_contiguous(items, name), name, bad)
            for name in self.columns
        }
        by_user: dict[str, Column] = {}
        self._run(self._computable_from(user_columns), received, by_user, user_bad)
        rest = [name for name in self._dag.order if name not in by_user]
        sources = [source for name in rest for source in self.features[name].inputs]
        linked = {source.name for source in sources if not self._dag.is_column(source)}
        groups = {self.features[name].sequence for name in rest} - {""}
        needed = [name for name in by_user if name in linked or self.features[name].sequence in groups]
        columns = {name: by_user[name].expand(owners) for name in needed}
        owner_rows = pa.array(owners)
        names = {source.name for source in sources if self._dag.is_column(source)}
        arrays = {name: received[name].take(owner_rows) if name in user_columns else received[name] for name in names}
        self._run(rest, arrays, columns, bad)
        self._report_unequal(columns, bad)
        self._report_unequal({name: column for name, column in by_user.items() if name not in needed}, user_bad)
        outputs = {name: columns[name] for name in rest if name in self.outputs}
        users_outputs = {name: by_user[name] for name in self.outputs if name in by_user}
        request = EncodedRequest(users.num_rows, users_outputs, outputs, owners)
        all_bad = user_bad.expand(owners)
        all_bad.merge(bad)
        return request, all_bad

    def _run(
        self,
        order: Sequence[str],
        arrays: Mapping[str, pa.Array],
        columns: dict[str, Column],
        bad: BadRows,
        row_indices: pa.Array | None = None,
    ) -> None:
        """Encode features one after the other.

        Args:
            order: their names, inputs first.
            arrays: raw columns.
            columns: outputs of the features, extended by those of `order`.
            bad: collects the bad rows.
            row_indices: numbers of the rows, null in masked ones; None if no row is masked.
        """
        for name in order:
            feature = self.features[name]
            sources = {source.name: self._source(source, arrays, columns, bad.size) for source in feature.inputs}
            if feature.masked_input and row_indices is not None:
                sources[feature.masked_input] = sources[feature.masked_input].take(row_indices)
            columns[name] = feature.encode(sources, bad)

    def _source(
        self, source: FeatureInput, arrays: Mapping[str, pa.Array], columns: Mapping[str, Column], rows: int
    ) -> pa.Array:
        if self._dag.is_column(source):
            return arrays[source.name]
        if source.side == "const":
            return pa.repeat(source.name, rows)
        return as_array(columns[source.name])

    def _finish(self, columns: Mapping[str, Column], bad: BadRows) -> dict[str, Column]:
        self._report_unequal(columns, bad)
        return {name: columns[name] for name in self.outputs}

    def _report_unequal(self, columns: Mapping[str, Column], bad: BadRows) -> None:
        """Report rows in which the features of one sequence_feature have different numbers of elements."""
        first_of_group: dict[str, str] = {}
        for name, column in columns.items():
            group = self.features[name].sequence
            if group and first_of_group.setdefault(group, name) != name:
                first = first_of_group[group]
                lengths, first_lengths = column.sequence_lengths, columns[first].sequence_lengths
                assert lengths is not None and first_lengths is not None
                rows = np.flatnonzero(lengths != first_lengths)
                counts = [f"{n} elements, not the {m} of {first}" for n, m in zip(lengths[rows], first_lengths[rows])]
                bad.report(name, UNEQUAL, rows, counts)


def _without_encoded_stubs(features: Mapping[str, Feature], data: data_pb2.DataConfig) -> dict[str, Feature]:
    """Leave stubs out for encoded data, which has no columns for them."""
    return {name: feature for name, feature in features.items() if not (is_encoded(data) and feature.is_stub)}


def _make_feature(member: FeatureMember, data: data_pb2.DataConfig, sequences: Collection[str]) -> Feature:
    """Build the feature of a member of feature_configs; `sequences` names all features that are sequences."""
    message, spec = member.message, member.sequence
    is_none = data.fg_mode == data_pb2.FG_NONE
    make = registry.load_class(member.field)
    if is_none and message.use_mask and spec is None and not message.HasField("fg_encoded_default_value"):
        message = _with_encoded_default(message, make, data)
    feature: Feature = make(message, data)
    if spec is not None and spec.tokens and not is_none:
        feature = TokenSequence(feature, spec.limit)
    elif spec is not None:
        linked = (source.name for source in feature.inputs if source.side == "feature" and source.name in sequences)
        names = (source.name for source in feature.inputs) if is_encoded(data) else spec.inputs.union(linked)
        feature = SequenceFeature(feature, replace(spec, inputs=frozenset(names)), fill=not is_none)
    if message.use_mask:
        feature.masked_input = feature.inputs[0].name if is_encoded(data) else _first_value_input(message)
    return feature


def _first_value_input(message: Any) -> str:
    """Return the name of a feature's first input that is not a map for lookups."""
    values = (text for field, text in inputs(message) if field not in ("map", "nested_map"))
    return next(values, "").partition(":")[2]


def _with_encoded_default(message: Any, make: Callable[..., Feature], data: data_pb2.DataConfig) -> Any:
    """Copy a message and set its default to the encoding of a missing value, for masked rows of encoded data."""
    raw = data_pb2.DataConfig()
    raw.CopyFrom(data)
    raw.fg_mode = data_pb2.FG_DAG
    feature = make(message, raw)
    column = feature.encode({source.name: pa.nulls(1) for source in feature.inputs}, BadRows(1))
    values = column.values.ravel().tolist()
    if column.weights is not None:
        values = [f"{value}:{weight}" for value, weight in zip(values, column.weights.tolist())]
    copy = type(message)()
    copy.CopyFrom(message)
    copy.fg_encoded_default_value = data.fg_encoded_multival_sep.join(map(str, values))
    return copy


def _with_path(path: str, problem: Problem) -> Problem:
    """Prefix the field of a feature's problem with the path of the feature."""
    return Problem(f"{path}.{problem.field}" if problem.field else path, problem.message)


def _contiguous(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column as one array."""
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise DataError(f'no column "{name}" in the data; its columns are {", ".join(batch.schema.names)}')
    column = batch.column(index)
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
