"""Sequences: which features are computed at every step of one, and what they read.

A feature can be a sequence by itself (`sequence_id_feature`) or together with others (`sequence_feature`). Either way
it is an ordinary feature at each step, so its message is rewritten to the one that it has there; rules and features
alike work with that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor

from tzrec import registry
from tzrec.config.checker import repeated
from tzrec.config.schema import fields_of
from tzrec.protos.feature_pb2 import (
    CombineFeature,
    ExprFeature,
    FeatureConfig,
    IdFeature,
    RawFeature,
    SequenceFeature,
    TokenizeFeature,
)

SIDES = ("user", "item", "context", "feature", "const")
"""What may stand before the colon of an input."""

ALL = "ALL"
"""A key of a match feature that is no input: it stands for every key."""

NAME_IN_FORMULA = re.compile(r"(?<![\w.])[^\W\d]\w*(?!\w|\s*\()")
"""A name in a formula that is no function; the e of 1e5 has a digit before it."""

# message -> the fields that name its inputs; all others have expression
_INPUTS: Mapping[str, tuple[str, ...]] = {
    "LookupFeature": ("map", "key"),
    "MatchFeature": ("nested_map", "pkey", "skey"),
    "ExprFeature": ("variables",),
    "OverlapFeature": ("query", "title"),
    "KvDotProduct": ("query", "document"),
}
_ONE_INPUT = (IdFeature, RawFeature, TokenizeFeature, CombineFeature)
_ONE_VALUE = ("IdFeature", "ComboFeature", "BoolMaskFeature", "CustomFeature", "ExprFeature")
"""Messages whose unset value_dim stands for any number of values in a row, and for one in a step."""

Message = TypeVar("Message", bound=Any)


@dataclass(frozen=True)
class SequenceSpec:
    """How a sequence lies in its columns.

    Attributes:
        inputs: names of the inputs that are sequences; the others are the same at every step.
        delimiter: what stands between the steps of a string.
        limit: steps to keep, from the first; 0 for all.
        group: name of the sequence_feature that it is a part of; "" if it stands alone.
        tokens: whether the steps are the tokens of a text, which is no sequence itself.
    """

    inputs: frozenset[str]
    delimiter: str
    limit: int = 0
    group: str = ""
    tokens: bool = False


@dataclass(frozen=True)
class FeatureMember:
    """A feature of an entry of feature_configs.

    Attributes:
        path: of its message, below the entry: `id_feature`, `sequence_feature.features[2].id_feature`.
        field: the member of the oneof that holds the message.
        message: what it is, at each step where it is a sequence, under its full name and with the full names of its
            inputs.
        steps: None where it is no sequence.
    """

    path: str
    field: FieldDescriptor
    message: Any
    steps: SequenceSpec | None = None


def feature_members(config: FeatureConfig) -> Iterator[FeatureMember]:
    """All features of an entry, in order; none where nothing is chosen."""
    chosen = registry.oneof_member(config, "feature")
    if chosen is None:
        return
    field, message = chosen
    if isinstance(message, SequenceFeature):
        for here, each in repeated(f"{field.name}.features", message.features):
            inner = registry.oneof_member(each, "feature")
            if inner is not None:
                yield _in_group(f"{here}.{inner[0].name}", *inner, message)
    elif field.name.startswith("sequence_"):
        yield _alone(field, message)
    elif isinstance(message, TokenizeFeature) and message.tokens_as_sequence:
        steps = SequenceSpec(frozenset(), message.sequence_delim, message.sequence_length, tokens=True)
        yield FeatureMember(field.name, field, element_message(message), steps)
    else:
        yield FeatureMember(field.name, field, message)


def inputs(message: Any) -> Iterator[tuple[str, str]]:
    """The inputs of a feature: (path of the field below its message, `side:name`)."""
    for name in _INPUTS.get(message.DESCRIPTOR.name, ("expression",)):
        value = getattr(message, name)
        if name in ("pkey", "skey") and value == ALL:
            continue
        yield from [(name, value)] if isinstance(value, str) else repeated(name, value)


def is_sequence_input(message: Any, text: str) -> bool:
    """Whether an input, `side:name`, of a feature that is a sequence is one.

    What sequence_fields names is, if it names any, with or without the side. Otherwise the only input of a feature
    is, unless another feature makes it; of several inputs those of the items are.
    """
    side, _, name = text.partition(":")
    if message.sequence_fields:
        return text in message.sequence_fields or name in message.sequence_fields
    return side not in ("feature", "const") if isinstance(message, _ONE_INPUT) else side == "item"


def _alone(field: FieldDescriptor, message: Any) -> FeatureMember:
    stepped = frozenset(text.partition(":")[2] for _, text in inputs(message) if is_sequence_input(message, text))
    steps = SequenceSpec(stepped, message.sequence_delim, message.sequence_length)
    return FeatureMember(field.name, field, element_message(message), steps)


def _in_group(path: str, field: FieldDescriptor, message: Any, group: SequenceFeature) -> FeatureMember:
    full = element_message(message)
    full.feature_name = f"{group.sequence_name}__{message.feature_name}"
    renamed = {}
    for _, text in inputs(message):
        side, _, name = text.partition(":")
        if side in SIDES and is_sequence_input(message, text):
            prefix = "" if side in ("feature", "const") else f"{group.sequence_name}__"
            renamed[text] = f"{side}:{prefix}{name}"
    _rename(full, renamed)
    stepped = frozenset(text.partition(":")[2] for text in renamed.values())
    steps = SequenceSpec(stepped, group.sequence_delim, group.sequence_length, group.sequence_name)
    return FeatureMember(path, field, full, steps)


def element_message(message: Message) -> Message:
    """The message of the feature at one step: one value unless it says otherwise, and never without a value."""
    copy: Message = type(message)()
    copy.CopyFrom(message)
    known = fields_of(copy)
    if message.DESCRIPTOR.name in _ONE_VALUE and not copy.HasField("value_dim"):
        copy.value_dim = 1
    if "default_value" in known and not copy.default_value:
        copy.default_value = "0"
    return copy


def _rename(message: Any, names: Mapping[str, str]) -> None:
    """Give the inputs of a message other names, in its formula as well."""
    for field in _INPUTS.get(message.DESCRIPTOR.name, ("expression",)):
        value = getattr(message, field)
        if isinstance(value, str):
            setattr(message, field, names.get(value, value))
        else:
            value[:] = [names.get(text, text) for text in value]
    if isinstance(message, ExprFeature):
        short = {old.partition(":")[2]: new.partition(":")[2] for old, new in names.items()}
        message.expression = NAME_IN_FORMULA.sub(lambda found: short.get(found[0], found[0]), message.expression)
