"""Layout: the tables of a model and the features of each group, as plain data known before any tensor exists.

Serving rebuilds the lookup from the layout alone, without torchrec.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from tzrec import registry
from tzrec.config.group_features import id_features
from tzrec.config.options import fields_with_reference
from tzrec.errors import ConfigError, Problem
from tzrec.features.base import BASE, DenseEmbedding, Feature
from tzrec.protos.model_pb2 import DEEP, JAGGED_SEQUENCE, SEQUENCE, WIDE, FeatureGroupConfig, ModelConfig
from tzrec.protos.options_pb2 import SEQUENCE_GROUP
from tzrec.tables.shared_table import SharedTable, TableRequest, merge_tables, request_table

SEQUENCE_PREFIX = "sequence."
"""Prefix of the keys and tables of sequence groups, whose names may also occur in other groups."""


@dataclass(frozen=True)
class LayoutEntry:
    """One feature in one group.

    Attributes:
        feature: its name.
        table: full name of the table it is looked up in; None for dense values.
        dim: columns it takes.
        key: name of its columns in the lookup's output: the feature, or `feature@table` where the feature is looked
            up in several tables; `feature@autodis` or `feature@mlp`, with the suffix of the group, for embedded values.
            It has SEQUENCE_PREFIX where the table is one of sequences.
        embedding: embedding of dense values; None for those that models read directly.
    """

    feature: str
    table: str | None
    dim: int
    key: str
    embedding: DenseEmbedding | None = None

    @property
    def value_dim(self) -> int:
        """Number of values of a dense feature in a row."""
        return self.embedding.value_dim if self.embedding else self.dim


@dataclass(frozen=True)
class SequenceGroup:
    """Sequence features, and features of the row that belong to them.

    Attributes:
        query: features with one value per row, in listed order.
        elements: sequence features, in listed order.
        jagged: True if the sequences of all rows follow each other; otherwise they are padded to the longest.
        limit: number of elements of a row that are read, from the first; 0 for all.
        encoded: True if only the encoders of a DEEP group read it; it is then jagged.
        padded: True if it is read with padding: by an encoder, or by the model if it is not jagged.
        ids: features whose first id encoders read, beside the vectors.
        is_training_only: True if it is not read outside of training.
    """

    query: tuple[LayoutEntry, ...]
    elements: tuple[LayoutEntry, ...]
    jagged: bool
    limit: int
    encoded: bool
    padded: bool
    ids: tuple[str, ...] = ()
    is_training_only: bool = False


@dataclass(frozen=True)
class Layout:
    """Groups of one data group and the tables they need.

    Attributes:
        groups: per DEEP or WIDE group, its features in listed order; the group's output is their concatenation,
            followed by the outputs of its encoders.
        tables: tables of `groups` by name, in the order in which groups first need them.
        sequences: SEQUENCE and JAGGED_SEQUENCE groups, and the sequence_groups of DEEP groups.
        sequence_tables: tables of `sequences` by name; they are separate from `tables` even where names are equal.
        data_group: name of the data group, whose features have the same number of rows.
    """

    groups: dict[str, tuple[LayoutEntry, ...]]
    tables: dict[str, SharedTable]
    sequences: dict[str, SequenceGroup]
    sequence_tables: dict[str, SharedTable]
    data_group: str = BASE

    @property
    def row_groups(self) -> dict[str, tuple[LayoutEntry, ...]]:
        """Features with one value per row: those of the groups, and as `<name>.query` those of sequence groups."""
        queries = {f"{name}.query": group.query for name, group in self.sequences.items() if group.query}
        return self.groups | queries

    @property
    def all_tables(self) -> dict[str, SharedTable]:
        """Tables of all groups by full name."""
        return {shared.full_name: shared for shared in (*self.tables.values(), *self.sequence_tables.values())}

    def without_training(self) -> Layout:
        """The layout without the groups that are only read in training."""
        served = {name: group for name, group in self.sequences.items() if not group.is_training_only}
        return replace(self, sequences=served)

    def widths(self, group: str) -> list[int]:
        return [entry.dim for entry in self.groups[group]]


def build_layouts(
    features: Mapping[str, Feature],
    groups: Sequence[FeatureGroupConfig],
    wide_dim: int | None = None,
    wide_init_fn: str = "",
    scope: str = "",
) -> dict[str, Layout]:
    """Build the layout of each data group, that of the base first.

    Args:
        features: all features of the config by name.
        groups: `model_config.feature_groups`.
        wide_dim: width of the tables of WIDE groups.
        wide_init_fn: initialization of the tables of WIDE groups; empty for that of the feature.
        scope: prefix of the full names of all tables.

    Raises:
        ConfigError: a feature in a group that cannot use it, a group with features of several data groups, features
            with different tables of one name, or two suffixes that make one table name. All of them at once.
    """
    problems = [problem for i, group in enumerate(groups) for problem in validate_group(i, group, features)]
    if problems:
        raise ConfigError(problems)
    by_data_group: dict[str, list[FeatureGroupConfig]] = {BASE: []}
    for group in groups:
        by_data_group.setdefault(_data_groups(group, features)[0], []).append(group)
    layouts: dict[str, Layout] = {}
    for data_group, members in by_data_group.items():
        layout = _build_layout(data_group, features, members, wide_dim, wide_init_fn, scope)
        if any(layout.all_tables.keys() & other.all_tables.keys() for other in layouts.values()):
            own_scope = f"{scope}{data_group.strip('_').lower()}."
            layout = _build_layout(data_group, features, members, wide_dim, wide_init_fn, own_scope)
        layouts[data_group] = layout
    return layouts


def _data_groups(group: FeatureGroupConfig, features: Mapping[str, Feature]) -> list[str]:
    """Data groups of the features of a group and of its sequence_groups; the base for a group without features."""
    names = [*group.feature_names, *(name for inner in group.sequence_groups for name in inner.feature_names)]
    return list(dict.fromkeys(features[name].data_group for name in names if name in features)) or [BASE]


def _describe_data_group(data_group: str, group: FeatureGroupConfig, features: Mapping[str, Feature]) -> str:
    """Name a data group and the features of a group that are in it: `NEG (item_id, price)`."""
    names = [*group.feature_names, *(name for inner in group.sequence_groups for name in inner.feature_names)]
    members = [name for name in dict.fromkeys(names) if name in features and features[name].data_group == data_group]
    return f"{data_group.strip('_')} ({', '.join(members)})"


def _build_layout(
    data_group: str,
    features: Mapping[str, Feature],
    groups: Sequence[FeatureGroupConfig],
    wide_dim: int | None,
    wide_init_fn: str,
    scope: str,
) -> Layout:
    pooled = [group for group in groups if group.group_type in (DEEP, WIDE)]
    inner = [reader for group in pooled for reader in inner_sequence_groups(group)]
    readers = {reader.group.group_name: reader for reader in inner}
    sequence_configs = [group for group in groups if group.group_type not in (DEEP, WIDE)]
    sequence_configs += [reader.group for reader in inner]
    pooled_entries, tables = _build_entries(features, pooled, scope, wide_dim, wide_init_fn)
    entries, sequence_tables = _build_entries(features, sequence_configs, f"{scope}{SEQUENCE_PREFIX}")
    entries = {name: tuple(_prefix_key(entry) for entry in row) for name, row in entries.items()}
    sequences = {
        group.group_name: SequenceGroup(
            query=tuple(entry for entry in entries[group.group_name] if not features[entry.feature].is_sequence),
            elements=tuple(entry for entry in entries[group.group_name] if features[entry.feature].is_sequence),
            jagged=group.group_type == JAGGED_SEQUENCE or group.group_name in readers,
            limit=readers[group.group_name].limit if group.group_name in readers else 0,
            encoded=group.group_name in readers,
            padded=readers[group.group_name].padded if group.group_name in readers else group.group_type == SEQUENCE,
            ids=readers[group.group_name].ids if group.group_name in readers else (),
            is_training_only=group.group_name in readers and readers[group.group_name].is_training_only,
        )
        for group in sequence_configs
    }
    return Layout(pooled_entries, tables, sequences, sequence_tables, data_group)


def _prefix_key(entry: LayoutEntry) -> LayoutEntry:
    return entry if entry.table is None else replace(entry, key=f"{SEQUENCE_PREFIX}{entry.key}")


@dataclass(frozen=True)
class InnerGroup:
    """A sequence group of a DEEP group, and what its encoders read.

    Attributes:
        group: as a group of its own.
        limit, padded, ids, is_training_only: see `SequenceGroup`.
    """

    group: FeatureGroupConfig
    limit: int
    padded: bool
    ids: tuple[str, ...]
    is_training_only: bool


def inner_sequence_groups(group: FeatureGroupConfig) -> Iterator[InnerGroup]:
    """Sequence groups of a DEEP group. If there is only one, it may have no name; it then has that of the group."""
    members = [registry.oneof_member(config, "seq_module") for config in group.sequence_encoders]
    for inner in group.sequence_groups:
        name = inner.group_name or group.group_name
        config = FeatureGroupConfig(group_name=name, feature_names=inner.feature_names, group_type=SEQUENCE)
        if inner.embedding_name_suffix:
            config.embedding_name_suffix = inner.embedding_name_suffix
        readers: list[tuple[FieldDescriptor, Any]] = [m for m in members if m and name in input_groups(m[1])]
        limits = [element_limit(encoder) for _, encoder in readers]
        ids = [name for member, encoder in readers for name in id_features(member, encoder)]
        yield InnerGroup(
            config,
            limit=max(limits, default=0) if all(limits) else 0,
            padded=not all(is_jagged(member) for member, _ in readers),
            ids=tuple(dict.fromkeys(ids)),
            is_training_only=all(encoder.input != name for _, encoder in readers),
        )


def input_groups(encoder: Any) -> list[str]:
    """Names of the sequence groups that an encoder reads: its `input`, and others in training only."""
    return [getattr(encoder, field.name) for field in fields_with_reference(encoder.DESCRIPTOR, SEQUENCE_GROUP)]


def is_jagged(member: FieldDescriptor) -> bool:
    """True if an encoder or a model reads elements without padding: IS_JAGGED of its requirements."""
    return bool(getattr(registry.requirements(member), "IS_JAGGED", False))


def groups_as_read(groups: Sequence[FeatureGroupConfig], model: ModelConfig) -> list[FeatureGroupConfig]:
    """Groups as a model reads them: a SEQUENCE group of one that reads elements without padding is a JAGGED_SEQUENCE.

    Args:
        groups: `feature_groups` of the model or of a part of it.
        model: its config.
    """
    member = registry.oneof_member(model, "model")
    if member is None or not is_jagged(member[0]):
        return list(groups)
    read = []
    for group in groups:
        read.append(FeatureGroupConfig())
        read[-1].CopyFrom(group)
        if group.group_type == SEQUENCE:
            read[-1].group_type = JAGGED_SEQUENCE
    return read


def element_limit(encoder: Any) -> int:
    """Number of elements that an encoder reads, from the first; 0 for all."""
    if "windows_len" in encoder.DESCRIPTOR.fields_by_name:
        return sum(encoder.windows_len)
    return int(encoder.max_seq_length)


def _build_entries(
    features: Mapping[str, Feature],
    groups: Sequence[FeatureGroupConfig],
    scope: str,
    wide_dim: int | None = None,
    wide_init_fn: str = "",
) -> tuple[dict[str, tuple[LayoutEntry, ...]], dict[str, SharedTable]]:
    """Build the entries of groups that share one kind of tables, and these tables."""
    requests = {
        group.group_name: [request_table(features[name], group, wide_dim, wide_init_fn) for name in group.feature_names]
        for group in groups
    }
    tables = merge_tables([request for row in requests.values() for request in row if request], scope)
    num_tables: dict[str, int] = defaultdict(int)
    for shared in tables.values():
        for feature in shared.features:
            num_tables[feature] += 1
    entries = {
        group.group_name: tuple(
            _entry(features[name], request, scope, num_tables[name] > 1, group.embedding_name_suffix)
            for name, request in zip(group.feature_names, requests[group.group_name], strict=True)
        )
        for group in groups
    }
    return entries, tables


def _entry(
    feature: Feature, request: TableRequest | None, scope: str, has_several_tables: bool, suffix: str
) -> LayoutEntry:
    if feature.embedding:
        key = "_".join([f"{feature.name}@{feature.embedding.kind}", *([suffix] if suffix else [])])
        return LayoutEntry(feature.name, None, feature.embedding.dim, key, feature.embedding)
    if request is None:
        return LayoutEntry(feature.name, None, feature.dim, feature.name)
    key = f"{feature.name}@{request.table.name}" if has_several_tables else feature.name
    return LayoutEntry(feature.name, f"{scope}{request.table.name}", request.table.dim, key)


def validate_group(index: int, group: FeatureGroupConfig, features: Mapping[str, Feature]) -> Iterator[Problem]:
    """Problems of one of the feature_groups."""
    path = f"model_config.feature_groups[{index}]"
    for name in group.feature_names:
        if name not in features:
            yield Problem(f"{path}.feature_names", f'unknown feature "{name}"')
        elif group.group_type in (DEEP, WIDE):
            yield from _validate_pooled(f"{path}.feature_names", features[name], group.group_type == WIDE)
        else:
            yield from _validate_sequence(f"{path}.feature_names", features[name])
    for position, inner in enumerate(group.sequence_groups):
        inner_path = f"{path}.sequence_groups[{position}].feature_names"
        for name in inner.feature_names:
            if name not in features:
                yield Problem(inner_path, f'unknown feature "{name}"')
            else:
                yield from _validate_sequence(inner_path, features[name])
    data_groups = _data_groups(group, features)
    if len(data_groups) > 1:
        listed = ", ".join(_describe_data_group(data_group, group, features) for data_group in data_groups)
        yield Problem(
            f"{path}.feature_names",
            f'group "{group.group_name}" has features of the data groups {listed}, which have different numbers of '
            "rows; list them in separate groups",
        )


def _validate_pooled(path: str, feature: Feature, wide: bool) -> Iterable[Problem]:
    if feature.is_sequence:
        yield Problem(
            path,
            f'feature "{feature.name}" is a sequence; list it in sequence_groups of a DEEP group, with a '
            "sequence_encoder that reduces its elements to one vector",
        )
    elif wide and feature.table is None:
        yield Problem(
            path,
            f'feature "{feature.name}" is dense and has no table, which a WIDE group needs; set its boundaries or list '
            "it in a DEEP group",
        )


def _validate_sequence(path: str, feature: Feature) -> Iterable[Problem]:
    if feature.is_weighted:
        yield Problem(
            path,
            f'feature "{feature.name}" is weighted, which sequence groups do not support; list it in a DEEP group or '
            "remove its weights",
        )
