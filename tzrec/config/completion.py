"""Completion of a config: fields and names that are not as the schema wants them, but follow from the rest.

The schema marks more fields as required than a run needs, and texts written for TorchEasyRec leave some of them out,
since its parser does not enforce them. Some of these texts also use another form of names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.model_groups import listed_features
from tzrec.config.options import field_rule, fields_with_reference
from tzrec.config.schema import MISSING, fields_of, is_message, messages_around
from tzrec.errors import Problem
from tzrec.protos.data_pb2 import FgMode
from tzrec.protos.feature_pb2 import ExprFeature, SequenceFeature
from tzrec.protos.options_pb2 import GROUP, INPUT, LABEL, SEQUENCE_GROUP
from tzrec.protos.pipeline_pb2 import EasyRecConfig

ENCODED = (FgMode.FG_NONE, FgMode.FG_BUCKETIZE)
"""Modes whose data has one column per feature, with its name."""


def complete(config: EasyRecConfig, problems: list[Problem]) -> list[Problem]:
    """Set the required fields that are missing and have an obvious value, and write names in their usual form.

    - A field with a default in the schema has this default, and one with the rule `may_be_missing` the value 0 or "".
    - An input of a feature is the column of that name if the data is encoded: nothing reads it then.
    - The input of an encoder is the sequence group, where there is one; the group that a tower reads and its label are
      the group and the label of a config with one.
    - The embedding_dim of a feature without a group, whose table nobody reads, is 0, like that of a managed table.
    - `clicks_item` in a group is the feature `clicks__item` of the sequence `clicks`, if no other feature can be meant.

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
        for _, message in _feature_messages(config):
            _name_inputs(message)
    _rename_grouped(config)
    return rest


def may_be_completed(field: FieldDescriptor) -> bool:
    """True if a required field has an obvious value in some configs, so that a text may leave it out."""
    if is_message(field):
        return False
    rule, message = field_rule(field), field.containing_type
    assert message is not None
    if field.has_default_value or rule.may_be_missing or rule.refers_to in (INPUT, GROUP, LABEL, SEQUENCE_GROUP):
        return True
    if message is ExprFeature.DESCRIPTOR and field.name == "expression":
        return True
    return field.name == "embedding_dim" and "feature_name" in message.fields_by_name


def _set(config: EasyRecConfig, path: str) -> bool:
    """Set a missing field if its value is obvious; an edit may have set it."""
    messages = messages_around(config, path)
    name = path.rpartition(".")[2]
    if messages[-1].HasField(name):
        return True
    value = _value(config, messages, fields_of(messages[-1])[name])
    if value is None:
        return False
    setattr(messages[-1], name, value)
    return True


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
    if field.name == "embedding_dim" and "feature_name" in fields_of(message):
        return None if _needs_width(config, messages) else 0
    names = _candidates(config, messages, rule.refers_to)
    return names[0] if len(names) == 1 else None


def _candidates(config: EasyRecConfig, messages: list[Any], reference: int) -> list[str]:
    """Names that a field could refer to."""
    if reference == SEQUENCE_GROUP:
        group = next(parent for parent in reversed(messages) if "sequence_groups" in fields_of(parent))
        return [inner.group_name or group.group_name for inner in group.sequence_groups]
    if reference == GROUP:
        return [group.group_name for group in config.model_config.feature_groups]
    return list(config.data_config.label_fields) if reference == LABEL else []


def _needs_width(config: EasyRecConfig, messages: list[Any]) -> bool:
    """True if a feature group lists a feature, and its table is not a managed one."""
    message, fields = messages[-1], fields_of(messages[-1])
    if any(name in fields and message.HasField(name) for name in ("zch", "dynamicemb")):
        return False
    sequence = next((parent for parent in messages if isinstance(parent, SequenceFeature)), None)
    prefixes = ("",) if sequence is None else (f"{sequence.sequence_name}__", f"{sequence.sequence_name}_")
    listed = listed_features(config.model_config)
    return any(prefix + message.feature_name in listed for prefix in prefixes)


def _feature_messages(config: EasyRecConfig) -> Iterator[tuple[str, Any]]:
    """Messages of all features, each with the name of the sequence_feature around it, or ""."""
    for entry in config.feature_configs:
        message: Any = _chosen(entry)
        if isinstance(message, SequenceFeature):
            yield from ((message.sequence_name, inner) for inner in map(_chosen, message.features) if inner is not None)
        elif message is not None:
            yield "", message


def _chosen(entry: Message) -> Message | None:
    member = registry.oneof_member(entry, "feature")
    return member[1] if member else None


def _name_inputs(message: Any) -> None:
    """Set lists of inputs that are empty."""
    for field in fields_with_reference(message.DESCRIPTOR, INPUT):
        values = getattr(message, field.name)
        if field.is_repeated and not values and message.feature_name:
            values.append(_column(message))


def _rename_grouped(config: EasyRecConfig) -> None:
    """Write the names of features of a sequence with two underscores in all groups."""
    names, by_short_name = set(), defaultdict(set)
    for sequence, message in _feature_messages(config):
        if not sequence:
            names.add(message.feature_name)
        else:
            by_short_name[f"{sequence}_{message.feature_name}"].add(f"{sequence}__{message.feature_name}")
    if not by_short_name:
        return
    for group in config.model_config.feature_groups:
        for listed in (group.feature_names, *(inner.feature_names for inner in group.sequence_groups)):
            for index, name in enumerate(listed):
                if name not in names and len(by_short_name.get(name, ())) == 1:
                    (listed[index],) = by_short_name[name]


def _column(message: Any) -> str | None:
    return f"item:{message.feature_name}" if message.feature_name else None
