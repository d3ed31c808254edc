"""Inputs of features: `side:name` in the config, or the feature's own column in encoded data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tzrec.config.rules.data import ENCODED
from tzrec.config.sequences import SIDES
from tzrec.errors import ConfigError, Problem
from tzrec.features.base import FeatureInput
from tzrec.protos import data_pb2


def is_encoded(data: data_pb2.DataConfig) -> bool:
    """Return true if the data has one column per feature: ids (FG_NONE) or the values they come from (FG_BUCKETIZE)."""
    return data.fg_mode in ENCODED


def read_input(config: Any, data: data_pb2.DataConfig) -> FeatureInput:
    """Read the input of a feature that has exactly one, from its expression.

    Raises:
        ConfigError: the expression is not `side:name`.
    """
    return read_inputs(config, data, "expression")[0]


def read_inputs(config: Any, data: data_pb2.DataConfig, *fields: str) -> tuple[FeatureInput, ...]:
    """Read the inputs of a feature from these fields; in encoded data it is one column of the feature's own name.

    Raises:
        ConfigError: a field is not `side:name`, or two different inputs have the same name.
    """
    inputs: list[FeatureInput] = []
    for field in fields:
        value = getattr(config, field)
        for text in [value] if isinstance(value, str) else value:
            inputs.append(parse_input(text, field))
            _validate_name(field, inputs)
    return (FeatureInput(inputs[0].side, config.feature_name),) if is_encoded(data) else tuple(inputs)


def _validate_name(field: str, inputs: Sequence[FeatureInput]) -> None:
    """Refuse a feature or a constant with the name of another input, because inputs are passed by name."""
    last = inputs[-1]
    for earlier in inputs[:-1]:
        sides = {earlier.side, last.side}
        if earlier.name == last.name and len(sides) == 2 and sides & {"feature", "const"}:
            message = f"{earlier.side}:{earlier.name} and {last.side}:{last.name} have the same name; rename one"
            raise ConfigError([Problem(field, message)])


def parse_input(text: str, field_name: str = "expression") -> FeatureInput:
    """Parse `side:name`, the value of a field.

    Raises:
        ConfigError: it has another form.
    """
    side, _, name = text.partition(":")
    if side not in SIDES or not name or ":" in name:
        message = f'"{text}" is not side:name with a side of {", ".join(SIDES)}'
        raise ConfigError([Problem(field_name, message)])
    return FeatureInput(side, name)
