"""Tables that features share: each group requests its tables, and requests of equal names are merged into one table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import Feature, Table
from tzrec.protos.model_pb2 import WIDE, FeatureGroupConfig
from tzrec.tables.id_map import IDENTITY, IdMap

SHARED = ("rows", "dim", "pooling", "init_fn", "data_type", "trainable")
"""Fields that must be equal in all features of one table."""


@dataclass(frozen=True)
class SharedTable:
    """A table and the features that are looked up in it.

    Attributes:
        table: the table.
        features: their names, in the order in which groups first list them.
        weighted: True if any of them carries weights; ids of the others then have weight 1.
        scope: prefix of `full_name`, which separates tables of towers and of sequences from equal names, and those of
            another data group if their names are equal.
        id_map: from raw ids to rows.
    """

    table: Table
    features: tuple[str, ...]
    weighted: bool
    scope: str = ""
    id_map: IdMap = IDENTITY

    @property
    def full_name(self) -> str:
        """Name that is unique in the model."""
        return f"{self.scope}{self.table.name}"


@dataclass(frozen=True)
class TableRequest:
    """Request of one feature in one group for a table.

    Attributes:
        feature: the feature.
        group: name of the group.
        table: the table.
        origin: name before the suffix, and the suffix; requests of one table must have the same.
    """

    feature: Feature
    group: str
    table: Table
    origin: tuple[str, str]

    @property
    def description(self) -> str:
        return f'feature "{self.feature.name}" in group "{self.group}"'


def request_table(
    feature: Feature, group: FeatureGroupConfig, wide_dim: int | None, wide_init_fn: str
) -> TableRequest | None:
    """Request the table of a feature in a group; None for a dense feature."""
    table = feature.table
    if table is None:
        return None
    if group.group_type == WIDE:
        assert wide_dim, "a model with WIDE groups defines their width"
        table = replace(table, name=f"{table.name}_wide", dim=wide_dim, init_fn=wide_init_fn or table.init_fn)
    origin = (table.name, group.embedding_name_suffix)
    if group.embedding_name_suffix:
        table = replace(table, name=f"{table.name}_{group.embedding_name_suffix}")
    return TableRequest(feature, group.group_name, table, origin)


def merge_tables(requests: Sequence[TableRequest], scope: str = "") -> dict[str, SharedTable]:
    """Merge requests into one table per name.

    Raises:
        ConfigError: requests of one name for different tables, or names that are not valid; all of them at once.
    """
    by_name: dict[str, list[TableRequest]] = defaultdict(list)
    for request in requests:
        by_name[request.table.name].append(request)
    problems = [p for rows in by_name.values() for request in rows[1:] for p in _validate_equal(rows[0], request)]
    problems += [p for rows in by_name.values() for p in _validate_name(rows[0])]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return {name: _merge(rows, scope) for name, rows in by_name.items()}


def _validate_name(request: TableRequest) -> Iterable[Problem]:
    """Problem of a name that torch cannot use for a module."""
    name = request.table.name
    if "." in name or hasattr(nn.ModuleDict(), name):
        yield Problem("embedding_name", f'{request.description}: "{name}" is not a valid table name; choose another')


def _validate_equal(first: TableRequest, other: TableRequest) -> Iterable[Problem]:
    """Problems of two requests that have the same name and are not for the same table."""
    name = first.table.name
    if first.origin != other.origin:
        yield Problem(
            "embedding_name_suffix",
            f'{first.description} and {other.description} both result in the table name "{name}", from '
            f'"{"_".join(first.origin)}" and "{"_".join(other.origin)}"; choose another suffix',
        )
    for field in SHARED:
        a, b = getattr(first.table, field), getattr(other.table, field)
        if a != b:
            yield Problem(
                "embedding_name",
                f'table "{name}" is shared by {first.description} with {field} {a!r} and by {other.description} with '
                f"{field} {b!r}; make them equal or set another embedding_name",
            )


def _merge(requests: Sequence[TableRequest], scope: str) -> SharedTable:
    """Merge requests for one table; it has the planner constraints of all of them."""
    members = {request.feature.name: request.feature for request in requests}
    tables = [request.table for request in requests]
    return SharedTable(
        table=replace(
            tables[0],
            sharding_types=tuple(dict.fromkeys(name for table in tables for name in table.sharding_types)),
            compute_kernels=tuple(dict.fromkeys(name for table in tables for name in table.compute_kernels)),
        ),
        features=tuple(members),
        weighted=any(feature.is_weighted for feature in members.values()),
        scope=scope,
    )


def id_maps(tables: Iterable[SharedTable]) -> dict[str, IdMap]:
    """Id maps of tables by feature, without identity maps."""
    return {name: shared.id_map for shared in tables if not shared.id_map.is_identity for name in shared.features}
