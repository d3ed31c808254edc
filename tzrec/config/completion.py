"""Completion of a config: required fields whose value follows from the rest of the config, or that nothing reads.

The schema marks more fields as required than a run needs, and texts written for TorchEasyRec leave some of them out,
since its parser does not enforce them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.options import field_rule, fields_with_reference
from tzrec.config.schema import MISSING, fields_of, is_message
from tzrec.errors import Problem
from tzrec.protos.data_pb2 import FgMode
from tzrec.protos.feature_pb2 import ExprFeature
from tzrec.protos.options_pb2 import INPUT, SEQUENCE_GROUP
from tzrec.protos.pipeline_pb2 import EasyRecConfig

ENCODED = (FgMode.FG_NONE, FgMode.FG_BUCKETIZE)
"""Modes whose data has one column per feature, with its name."""

_SEGMENT = re.compile(r"(\w+)(?:\[(\d+)\])?")


def complete(config: EasyRecConfig, problems: list[Problem]) -> list[Problem]:
    """Set the required fields that are missing and have an obvious value.

    - A field with a default in the schema has this default, and one with the rule `may_be_missing` the value 0 or "".
    - An input of a feature is the column of that name if the data is encoded: nothing reads it then.
    - The input of an encoder is the sequence group, where there is one.

    Args:
        config: is modified.
        problems: problems of the text.

    Returns:
        The problems without those of the fields that are set now.
    """
    rest = [
        problem for problem in problems if not (problem.message.startswith(MISSING) and _set(config, problem.field))
    ]
    if config.data_config.fg_mode in ENCODED:
        for message in _feature_messages(config):
            _name_inputs(message)
    return rest


def _set(config: EasyRecConfig, path: str) -> bool:
    """Set a missing field if its value is obvious."""
    *parents, message = _messages_along(config, path)
    name = path.rpartition(".")[2]
    value = _value(config, [*parents, message], fields_of(message)[name])
    if value is None:
        return False
    setattr(message, name, value)
    return True


def _messages_along(config: EasyRecConfig, path: str) -> list[Any]:
    """Messages around the field at a path, from the config to the innermost."""
    messages: list[Any] = [config]
    for segment in list(_SEGMENT.finditer(path))[:-1]:
        child = getattr(messages[-1], segment[1])
        messages.append(child if segment[2] is None else child[int(segment[2])])
    return messages


def _value(config: EasyRecConfig, messages: list[Any], field: FieldDescriptor) -> Any:
    rule, message = field_rule(field), messages[-1]
    if is_message(field):
        return None
    if field.has_default_value or rule.may_be_missing:
        return field.default_value
    if rule.refers_to == INPUT and config.data_config.fg_mode in ENCODED:
        return _column(message)
    if isinstance(message, ExprFeature) and field.name == "expression" and config.data_config.fg_mode in ENCODED:
        return message.feature_name or None
    if rule.refers_to == SEQUENCE_GROUP:
        group = next(parent for parent in reversed(messages) if "sequence_groups" in fields_of(parent))
        names = [inner.group_name or group.group_name for inner in group.sequence_groups]
        return names[0] if len(names) == 1 else None
    return None


def _feature_messages(config: EasyRecConfig) -> Iterator[Message]:
    """Messages of all features, also of those in a sequence_feature."""
    for entry in config.feature_configs:
        member = registry.oneof_member(entry, "feature")
        if member is None:
            continue
        inner = getattr(member[1], "features", None)
        chosen = [member] if inner is None else [registry.oneof_member(feature, "feature") for feature in inner]
        yield from (found[1] for found in chosen if found is not None)


def _name_inputs(message: Any) -> None:
    """Set lists of inputs that are empty."""
    for field in fields_with_reference(message.DESCRIPTOR, INPUT):
        values = getattr(message, field.name)
        if field.is_repeated and not values and message.feature_name:
            values.append(_column(message))


def _column(message: Any) -> str | None:
    return f"item:{message.feature_name}" if message.feature_name else None
