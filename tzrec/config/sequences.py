"""Sequence features: features of feature_configs with the message that each has for one element of a sequence.

A feature can be a sequence by itself (`sequence_id_feature`) or together with others (`sequence_feature`). In both
cases it is an ordinary feature of each element, so its message is rewritten to that of one element. The rules of a
config and the features both work with the rewritten message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor

from tzrec import registry
from tzrec.config.checker import repeated
from tzrec.config.options import field_rules, fields_with_reference
from tzrec.config.schema import fields_of
from tzrec.protos.feature_pb2 import CustomFeature, ExprFeature, FeatureConfig, SequenceFeature, TokenizeFeature
from tzrec.protos.options_pb2 import INPUT

SIDES = ("user", "item", "context", "feature", "const")
"""Words allowed before the colon of an input."""

ALL = "ALL"
"""Key of a match feature that is not an input: it stands for every key."""

NAME_IN_FORMULA = re.compile(r"(?<![\w.])[^\W\d]\w*(?!\w|\s*\()")
"""Name in a formula, except functions and the e of 1e5."""

Message = TypeVar("Message", bound=Any)


@dataclass(frozen=True)
class SequenceSpec:
    """Layout of a sequence in its columns.

    Attributes:
        inputs: names of the inputs that are sequences; the others are the same for every element.
        delimiter: separator of the elements in a string.
        limit: number of elements to keep, from the first; 0 for all.
        group: name of the sequence_feature that the feature belongs to; "" for a feature that stands alone.
        tokens: True if the elements are the tokens of a text, which is not a sequence itself.
        should_repeat: True if a sequence of one element is repeated for all elements of the others.
    """

    inputs: frozenset[str]
    delimiter: str
    limit: int = 0
    group: str = ""
    tokens: bool = False
    should_repeat: bool = False


@dataclass(frozen=True)
class FeatureMember:
    """Feature of an entry of feature_configs.

    Attributes:
        path: path of its message below the entry: `id_feature`, `sequence_feature.features[2].id_feature`.
        field: member of the oneof that holds the message.
        message: message of the feature, for one element if it is a sequence, with its full name and the full names of
            its inputs.
        sequence: layout of the sequence; None if it is not a sequence.
    """

    path: str
    field: FieldDescriptor
    message: Any
    sequence: SequenceSpec | None = None


def feature_members(config: FeatureConfig) -> Iterator[FeatureMember]:
    """Iterate over the features of an entry in order; over none if no feature is chosen."""
    member = registry.oneof_member(config, "feature")
    if member is None:
        return
    field, message = member
    if isinstance(message, SequenceFeature):
        for path, inner_config in repeated(f"{field.name}.features", message.features):
            inner = registry.oneof_member(inner_config, "feature")
            if inner is not None:
                yield _in_group(f"{path}.{inner[0].name}", *inner, message)
    elif field.name.startswith("sequence_"):
        yield _alone(field, message)
    elif isinstance(message, TokenizeFeature) and message.tokens_as_sequence:
        spec = SequenceSpec(frozenset(), message.sequence_delim, message.sequence_length, tokens=True)
        yield FeatureMember(field.name, field, element_message(message), spec)
    else:
        yield FeatureMember(field.name, field, message)


def inputs(message: Any) -> Iterator[tuple[str, str]]:
    """Iterate over the inputs of a feature: path of the field below its message, and `side:name`."""
    for field in fields_with_reference(message.DESCRIPTOR, INPUT):
        value = getattr(message, field.name)
        if field.is_repeated:
            yield from repeated(field.name, value)
        elif value != ALL:
            yield field.name, value


def is_sequence_input(message: Any, text: str) -> bool:
    """True if an input, `side:name`, of a feature that is a sequence is a sequence itself.

    If `sequence_fields` is set, these are the inputs it lists, with or without the side. Otherwise a single input is a
    sequence unless it is another feature or a constant, and of several inputs those of the side `item` are.
    """
    side, _, name = text.partition(":")
    if message.sequence_fields:
        return text in message.sequence_fields or name in message.sequence_fields
    fields = fields_with_reference(message.DESCRIPTOR, INPUT)
    has_one_input = len(fields) == 1 and not fields[0].is_repeated
    return side not in ("feature", "const") if has_one_input else side == "item"


def _repeated_inputs(message: Any) -> frozenset[str]:
    """Names of the inputs of SeqExpr if no rule says which are sequences: any of them, by their number of elements."""
    if not isinstance(message, CustomFeature) or message.operator_name != "SeqExpr":
        return frozenset()
    texts = [text for _, text in inputs(message)]
    if any(is_sequence_input(message, text) for text in texts):
        return frozenset()
    return frozenset(text.partition(":")[2] for text in texts if not text.startswith(("feature:", "const:")))


def _alone(field: FieldDescriptor, message: Any) -> FeatureMember:
    names = frozenset(text.partition(":")[2] for _, text in inputs(message) if is_sequence_input(message, text))
    repeated_names = _repeated_inputs(message)
    spec = SequenceSpec(
        names | repeated_names,
        message.sequence_delim,
        message.sequence_length,
        should_repeat=bool(repeated_names),
    )
    return FeatureMember(field.name, field, element_message(message), spec)


def _in_group(path: str, field: FieldDescriptor, message: Any, group: SequenceFeature) -> FeatureMember:
    full = element_message(message)
    full.feature_name = f"{group.sequence_name}__{message.feature_name}"
    full_names = {}
    for _, text in inputs(message):
        side, _, name = text.partition(":")
        if side in SIDES and is_sequence_input(message, text):
            prefix = "" if side in ("feature", "const") else f"{group.sequence_name}__"
            full_names[text] = f"{side}:{prefix}{name}"
    _rename_inputs(full, full_names)
    names = frozenset(text.partition(":")[2] for text in full_names.values())
    repeated_names = _repeated_inputs(message)
    spec = SequenceSpec(
        names | repeated_names,
        group.sequence_delim,
        group.sequence_length,
        group.sequence_name,
        should_repeat=bool(repeated_names),
    )
    return FeatureMember(path, field, full, spec)


def element_message(message: Message) -> Message:
    """Return the message of a feature for one element: by default one value, which is never missing."""
    copy: Message = type(message)()
    copy.CopyFrom(message)
    for name, rule in field_rules(copy.DESCRIPTOR).items():
        if rule.HasField("element_default") and not copy.HasField(name):
            setattr(copy, name, rule.element_default)
    if "default_value" in fields_of(copy) and not copy.default_value:
        copy.default_value = "0"
    return copy


def _rename_inputs(message: Any, names: Mapping[str, str]) -> None:
    """Rename the inputs of a feature, also in its formula."""
    for field in fields_with_reference(message.DESCRIPTOR, INPUT):
        value = getattr(message, field.name)
        if field.is_repeated:
            value[:] = [names.get(text, text) for text in value]
        else:
            setattr(message, field.name, names.get(value, value))
    if isinstance(message, ExprFeature):
        short = {old.partition(":")[2]: new.partition(":")[2] for old, new in names.items()}
        message.expression = NAME_IN_FORMULA.sub(lambda match: short.get(match[0], match[0]), message.expression)
