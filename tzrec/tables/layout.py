"""Which tables a model has and where each feature stands in each group: plain data, known before any tensor exists.

Serving rebuilds the lookup from this alone, without torchrec.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import DenseEmbedding, Feature
from tzrec.protos.model_pb2 import DEEP, JAGGED_SEQUENCE, SEQUENCE, WIDE, FeatureGroupConfig
from tzrec.tables.shared_table import SharedTable, TableRequest, merge_tables, request_table

SEQUENCE_PREFIX = "sequence."
"""Before the keys and names of what sequence groups look up, which may have the same names elsewhere."""


@dataclass(frozen=True)
class LayoutEntry:
    """One feature in one group.

    Attributes:
        feature: its name.
        table: the table it is looked up in; None for dense values.
        dim: columns it takes.
        key: name of its columns in the lookup's output: the feature, or `feature@table` where the feature is looked
            up in several tables; `feature@autodis` or `feature@mlp`, with the suffix of the group, for embedded values.
            SEQUENCE_PREFIX stands before it where the table is one of sequences.
        embedding: how dense values are embedded; None for those that enter as they are.
    """

    feature: str
    table: str | None
    dim: int
    key: str
    embedding: DenseEmbedding | None = None

    @property
    def value_dim(self) -> int:
        """Numbers of a dense feature in a row."""
        return self.embedding.value_dim if self.embedding else self.dim


@dataclass(frozen=True)
class SequenceGroup:
    """Features of steps, and features of the row that go with them.

    Attributes:
        query: features with one value per row, in listed order.
        steps: sequence features, in listed order.
        jagged: whether the steps of all rows follow each other; otherwise they are padded to the longest row.
        limit: steps of a row that are read, from the first; 0 for all.
        encoded: whether only the encoders of a DEEP group read it.
    """

    query: tuple[LayoutEntry, ...]
    steps: tuple[LayoutEntry, ...]
    jagged: bool
    limit: int
    encoded: bool


@dataclass(frozen=True)
class Layout:
    """All groups of a model and all tables they need.

    Attributes:
        groups: per DEEP or WIDE group, its features in listed order; the group's output is their concatenation,
            followed by what its encoders yield.
        bags: per table name, in the order in which groups first need it.
        sequences: SEQUENCE and JAGGED_SEQUENCE groups, and the sequence_groups of DEEP groups.
        sequence_tables: the tables of `sequences`, which are others than `bags` even where names are equal.
    """

    groups: dict[str, tuple[LayoutEntry, ...]]
    bags: dict[str, SharedTable]
    sequences: dict[str, SequenceGroup]
    sequence_tables: dict[str, SharedTable]

    @property
    def by_row(self) -> dict[str, tuple[LayoutEntry, ...]]:
        """All that has one value per row: the groups, and as `<name>.query` that of sequence groups."""
        queries = {f"{name}.query": group.query for name, group in self.sequences.items() if group.query}
        return self.groups | queries

    @property
    def tables(self) -> dict[str, SharedTable]:
        """All tables, those of sequences with SEQUENCE_PREFIX before their names."""
        return self.bags | {f"{SEQUENCE_PREFIX}{name}": bag for name, bag in self.sequence_tables.items()}

    def widths(self, group: str) -> list[int]:
        return [entry.dim for entry in self.groups[group]]


def build_layout(
    features: Mapping[str, Feature],
    groups: Sequence[FeatureGroupConfig],
    wide_dim: int | None = None,
    wide_init_fn: str = "",
) -> Layout:
    """Lay out all groups.

    Args:
        features: all features of the config by name.
        groups: `model_config.feature_groups`.
        wide_dim: width of the tables of WIDE groups.
        wide_init_fn: first values of the tables of WIDE groups; empty: as the feature says.

    Raises:
        ConfigError: a feature in a group that has no use for it, features that share a table name but not the table,
            or two suffixes that yield one table name. All of them at once.
    """
    problems = [problem for i, group in enumerate(groups) for problem in _unfit(i, group, features)]
    if problems:
        raise ConfigError(problems)
    pooled = [group for group in groups if group.group_type in (DEEP, WIDE)]
    stepped = [group for group in groups if group.group_type not in (DEEP, WIDE)]
    limits = {each.group_name: limit for group in pooled for each, limit in sequence_groups(group)}
    inner = [each for group in pooled for each, _ in sequence_groups(group)]
    laid, bags = _lay(features, pooled, wide_dim, wide_init_fn)
    stepped += inner
    found, tables = _lay(features, stepped)
    entries = {name: [_stepped(entry) for entry in row] for name, row in found.items()}
    sequences = {
        group.group_name: SequenceGroup(
            query=tuple(each for each in entries[group.group_name] if not features[each.feature].is_sequence),
            steps=tuple(each for each in entries[group.group_name] if features[each.feature].is_sequence),
            jagged=group.group_type == JAGGED_SEQUENCE,
            limit=limits.get(group.group_name, 0),
            encoded=group.group_name in limits,
        )
        for group in stepped
    }
    return Layout(laid, bags, sequences, tables)


def _stepped(entry: LayoutEntry) -> LayoutEntry:
    if entry.table is None:
        return entry
    return replace(entry, table=f"{SEQUENCE_PREFIX}{entry.table}", key=f"{SEQUENCE_PREFIX}{entry.key}")


def sequence_groups(group: FeatureGroupConfig) -> Iterable[tuple[FeatureGroupConfig, int]]:
    """The sequence groups of a DEEP group as groups of their own, each with the steps that its encoders read at most.

    The only one may be without a name; it then has that of the group.
    """
    for each in group.sequence_groups:
        name = each.group_name or group.group_name
        made = FeatureGroupConfig(group_name=name, feature_names=each.feature_names, group_type=SEQUENCE)
        if each.embedding_name_suffix:
            made.embedding_name_suffix = each.embedding_name_suffix
        encoders = [getattr(encoder, encoder.WhichOneof("seq_module")) for encoder in group.sequence_encoders]
        limits = [_limit(encoder) for encoder in encoders if encoder.input == name]
        yield made, max(limits, default=0) if all(limits) else 0


def _limit(encoder: Any) -> int:
    """Steps that an encoder reads, from the first; 0 for all."""
    if "windows_len" in encoder.DESCRIPTOR.fields_by_name:
        return sum(encoder.windows_len)
    return int(encoder.max_seq_length)


def _lay(
    features: Mapping[str, Feature],
    groups: Sequence[FeatureGroupConfig],
    wide_dim: int | None = None,
    wide_init_fn: str = "",
) -> tuple[dict[str, tuple[LayoutEntry, ...]], dict[str, SharedTable]]:
    """The entries of groups that share one kind of tables, and these tables."""
    requests = {
        group.group_name: [request_table(features[name], group, wide_dim, wide_init_fn) for name in group.feature_names]
        for group in groups
    }
    bags = merge_tables([request for row in requests.values() for request in row if request])
    tables_of = defaultdict(list)
    for name, bag in bags.items():
        for feature in bag.features:
            tables_of[feature].append(name)
    laid = {
        group.group_name: tuple(
            _entry(features[name], request, len(tables_of[name]) > 1, group.embedding_name_suffix)
            for name, request in zip(group.feature_names, requests[group.group_name], strict=True)
        )
        for group in groups
    }
    return laid, bags


def _unfit(index: int, group: FeatureGroupConfig, features: Mapping[str, Feature]) -> Iterable[Problem]:
    """What keeps one group from being laid out."""
    path = f"model_config.feature_groups[{index}]"
    for name in group.feature_names:
        if name not in features:
            yield Problem(f"{path}.feature_names", f'unknown feature "{name}"')
        elif group.group_type in (DEEP, WIDE):
            yield from _unfit_pooled(f"{path}.feature_names", features[name], group.group_type == WIDE)
        else:
            yield from _unfit_stepped(f"{path}.feature_names", features[name])
    for position, inner in enumerate(group.sequence_groups):
        for name in inner.feature_names:
            here = f"{path}.sequence_groups[{position}].feature_names"
            if name not in features:
                yield Problem(here, f'unknown feature "{name}"')
            else:
                yield from _unfit_stepped(here, features[name])


def _unfit_pooled(path: str, feature: Feature, wide: bool) -> Iterable[Problem]:
    if feature.is_sequence:
        yield Problem(
            path,
            f'feature "{feature.name}" is a sequence; list it in sequence_groups of a DEEP group, with a '
            "sequence_encoder that makes one vector of its steps",
        )
    elif wide and feature.table is None:
        yield Problem(
            path,
            f'feature "{feature.name}" is dense and has no table, which a WIDE group needs; give it boundaries or put '
            "it into a DEEP group",
        )


def _unfit_stepped(path: str, feature: Feature) -> Iterable[Problem]:
    if feature.is_weighted:
        yield Problem(
            path,
            f'feature "{feature.name}" is weighted, which no sequence group can use; list it in a DEEP group or make '
            "it one without weights",
        )


def _entry(feature: Feature, request: TableRequest | None, several: bool, suffix: str) -> LayoutEntry:
    if feature.embedding:
        key = "_".join([f"{feature.name}@{feature.embedding.kind}", *([suffix] if suffix else [])])
        return LayoutEntry(feature.name, None, feature.embedding.dim, key, feature.embedding)
    if request is None:
        return LayoutEntry(feature.name, None, feature.dim, feature.name)
    key = f"{feature.name}@{request.table.name}" if several else feature.name
    return LayoutEntry(feature.name, request.table.name, request.table.dim, key)
