"""Dag: which columns the features need and in which order they are encoded."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from tzrec.config.sequences import SIDES
from tzrec.errors import ConfigError, Problem
from tzrec.features.base import Feature, FeatureInput
from tzrec.features.column import Column
from tzrec.protos import data_pb2


def single_input(config: Any, data: data_pb2.DataConfig) -> FeatureInput:
    """What a feature with one input reads: its own name in encoded data, else what its expression says.

    Raises:
        ConfigError: the expression is not `side:name`.
    """
    return inputs_of(config, data, "expression")[0]


def is_encoded(data: data_pb2.DataConfig) -> bool:
    """Whether the data has one column per feature, of ids (FG_NONE) or of what they are made from (FG_BUCKETIZE)."""
    return data.fg_mode in (data_pb2.FG_NONE, data_pb2.FG_BUCKETIZE)


def inputs_of(config: Any, data: data_pb2.DataConfig, *fields: str) -> tuple[FeatureInput, ...]:
    """What a feature reads: one column of its own name in encoded data, else what these fields say.

    Raises:
        ConfigError: a field is not `side:name`, or two inputs that are not the same have one name.
    """
    inputs: list[FeatureInput] = []
    for field in fields:
        value = getattr(config, field)
        for text in [value] if isinstance(value, str) else value:
            inputs.append(parse_input(text, field))
            _refuse_namesake(field, inputs)
    return (FeatureInput(inputs[0].side, config.feature_name),) if is_encoded(data) else tuple(inputs)


def _refuse_namesake(field: str, inputs: Sequence[FeatureInput]) -> None:
    """Inputs go by their names, so a feature or a constant cannot be called like another input."""
    last = inputs[-1]
    for other in inputs[:-1]:
        if other.name == last.name and other.side != last.side and {other.side, last.side} & {"feature", "const"}:
            message = f"{other.side}:{other.name} and {last.side}:{last.name} have one name; rename one of them"
            raise ConfigError([Problem(field, message)])


def parse_input(text: str, field_name: str = "expression") -> FeatureInput:
    """Read `side:name`, the value of a field.

    Raises:
        ConfigError: it is something else.
    """
    side, _, name = text.partition(":")
    if side not in SIDES or not name or ":" in name:
        message = f'"{text}" is not side:name with a side of {", ".join(SIDES)}'
        raise ConfigError([Problem(field_name, message)])
    return FeatureInput(side, name)


@dataclass(frozen=True)
class Dag:
    """Features in an order in which each comes after those it reads.

    Attributes:
        order: names of the features to encode.
        columns: raw columns they read, in order of first use.
        linked: whether `feature:` and `const:` inputs are resolved here; else they are columns of the data.
    """

    order: tuple[str, ...]
    columns: tuple[str, ...]
    linked: bool

    def is_column(self, source: FeatureInput) -> bool:
        return not self.linked or source.side not in ("feature", "const")


def make_dag(features: Mapping[str, Feature], paths: Mapping[str, str], linked: bool) -> Dag:
    """Order the features.

    Args:
        features: by name.
        paths: config path of every feature's expression, for the errors.
        linked: see Dag.

    Raises:
        ConfigError: a feature reads one that does not exist, or itself in the end.
    """
    reads = {name: _reads(feature) if linked else [] for name, feature in features.items()}
    problems = [
        Problem(paths[name], f'no feature "{source}" for "feature:{source}"{_suggestion(source, features)}')
        for name, sources in reads.items()
        for source in sources
        if source not in features
    ]
    if problems:
        raise ConfigError(problems)
    order: list[str] = []
    for name in features:
        _visit(name, reads, order, [], paths)
    dag = Dag(tuple(order), (), linked)
    inputs = (source for feature in features.values() for source in feature.inputs)
    columns = dict.fromkeys(source.name for source in inputs if dag.is_column(source))
    return Dag(dag.order, tuple(columns), linked)


def _reads(feature: Feature) -> list[str]:
    return [source.name for source in feature.inputs if source.side == "feature"]


def _visit(
    name: str, reads: Mapping[str, Sequence[str]], order: list[str], trail: list[str], paths: Mapping[str, str]
) -> None:
    """Depth first: append what `name` reads, then `name`."""
    if name in order:
        return
    if name in trail:
        circle = " -> ".join([*trail[trail.index(name) :], name])
        raise ConfigError([Problem(paths[name], f"features read each other in a circle: {circle}")])
    for source in reads[name]:
        _visit(source, reads, order, [*trail, name], paths)
    order.append(name)


def _suggestion(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def as_array(column: Column) -> pa.Array:
    """A feature's output as the Arrow input of another: numbers, lists where rows hold several, none or steps."""
    if column.sequence_lengths is not None:
        offsets = pa.array([0, *column.sequence_lengths.cumsum()], pa.int32())
        return pa.ListArray.from_arrays(offsets, as_array(replace(column, sequence_lengths=None)))
    if not column.is_sparse:
        flat = pa.array(column.values.reshape(-1))
        return flat if column.dim == 1 else pa.FixedSizeListArray.from_arrays(flat, column.dim)
    if column.lengths is None:
        return pa.array(column.values)
    offsets = pa.array([0, *column.lengths.cumsum()], pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(column.values))
