"""Which features share a table: every group asks for its tables, and equal names make one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import Feature, Table
from tzrec.protos.model_pb2 import WIDE, FeatureGroupConfig

SHARED = ("rows", "dim", "pooling", "init_fn", "data_type", "trainable")
"""What features that name the same table must agree on."""


@dataclass(frozen=True)
class SharedTable:
    """A table and who is looked up in it.

    Attributes:
        table: the table.
        features: their names, in the order in which groups first name them.
        weighted: whether any of them carries weights; the others then count every id once.
    """

    table: Table
    features: tuple[str, ...]
    weighted: bool


@dataclass(frozen=True)
class TableRequest:
    """One feature of one group asking for one table."""

    feature: Feature
    group: str
    table: Table
    origin: tuple[str, str]  # (name before the suffix, suffix): one final name must have one origin

    @property
    def who(self) -> str:
        return f'feature "{self.feature.name}" in group "{self.group}"'


def request_table(
    feature: Feature, group: FeatureGroupConfig, wide_dim: int | None, wide_init_fn: str
) -> TableRequest | None:
    """The table that a feature needs in a group, None for a dense feature."""
    table = feature.table
    if table is None:
        return None
    if group.group_type == WIDE:
        assert wide_dim, "a model with WIDE groups says how wide they are"
        table = replace(table, name=f"{table.name}_wide", dim=wide_dim, init_fn=wide_init_fn or table.init_fn)
    origin = (table.name, group.embedding_name_suffix)
    if group.embedding_name_suffix:
        table = replace(table, name=f"{table.name}_{group.embedding_name_suffix}")
    return TableRequest(feature, group.group_name, table, origin)


def merge_tables(requests: Sequence[TableRequest]) -> dict[str, SharedTable]:
    """One bag per table name.

    Raises:
        ConfigError: every pair of requests that cannot be one table, every name that cannot be one.
    """
    by_name: dict[str, list[TableRequest]] = defaultdict(list)
    for request in requests:
        by_name[request.table.name].append(request)
    problems = [p for rows in by_name.values() for request in rows[1:] for p in _conflicts(rows[0], request)]
    problems += [p for rows in by_name.values() for p in _misnamed(rows[0])]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return {name: _bag(rows) for name, rows in by_name.items()}


def _misnamed(request: TableRequest) -> Iterable[Problem]:
    """A name under which torch can keep no module."""
    name = request.table.name
    if "." in name or hasattr(nn.ModuleDict(), name):
        yield Problem("embedding_name", f'{request.who}: "{name}" cannot be the name of a table; choose another')


def _conflicts(first: TableRequest, other: TableRequest) -> Iterable[Problem]:
    name = first.table.name
    if first.origin != other.origin:
        yield Problem(
            "embedding_name_suffix",
            f'{first.who} and {other.who} both make the table name "{name}", from "{"_".join(first.origin)}" and '
            f'"{"_".join(other.origin)}"; choose another suffix',
        )
    for field in SHARED:
        a, b = getattr(first.table, field), getattr(other.table, field)
        if a != b:
            yield Problem(
                "embedding_name",
                f'table "{name}" is shared by {first.who} with {field} {a!r} and by {other.who} with {field} {b!r}; '
                "make them equal or give one another embedding_name",
            )


def _bag(requests: Sequence[TableRequest]) -> SharedTable:
    """One table; planner constraints of all who share it are taken together."""
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
    )
