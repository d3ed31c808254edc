"""Text of values and messages on one line, with lists in brackets."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from google.protobuf import text_encoding
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec.config.schema import enum_type, is_map, is_message


def value_text(field: FieldDescriptor, value: object) -> str:
    """Return the text of the value of a scalar field, or of all values of a repeated one: `["a", "b"]`."""
    if field.is_repeated:
        assert isinstance(value, Sequence)
        return f"[{', '.join(_scalar(field, part) for part in value)}]"
    return _scalar(field, value)


def message_text(message: Message) -> str:
    """Return the text of a message in braces.

    Example:
        message_text(MLP(hidden_units=[8, 4])) == "{ hidden_units: [8, 4] }"
    """
    texts = []
    for field, value in message.ListFields():
        for part in parts_of(message, field, value):
            if isinstance(part, Message):
                texts.append(f"{field.name} {message_text(part)}")
            else:
                texts.append(f"{field.name}: {value_text(field, part)}")
    return f"{{ {' '.join(texts)} }}" if texts else "{}"


def parts_of(message: Message, field: FieldDescriptor, value: Any) -> Sequence[Any]:
    """Return the parts of a field that are written one by one: messages, entries of a map, or the value as a whole."""
    if is_map(field):
        entry = getattr(message, field.name).GetEntryClass()
        return [entry(key=key, value=inner) for key, inner in sorted(value.items(), key=itemgetter(0))]
    return list(value) if field.is_repeated and is_message(field) else [value]


def _scalar(field: FieldDescriptor, value: object) -> str:
    if isinstance(value, str):
        return f'"{text_encoding.CEscape(value.encode(), as_utf8=True)}"'
    if isinstance(value, bool):
        return str(value).lower()
    if field.type == FieldDescriptor.TYPE_ENUM:
        assert isinstance(value, int)
        return enum_type(field).values_by_number[value].name
    return f"{value:.7g}" if isinstance(value, float) else str(value)
