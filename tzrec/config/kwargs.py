"""Messages as keyword arguments, with defaults."""

from __future__ import annotations

import struct
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from tzrec.config.schema import enum_type, fields_of, is_map, is_message, message_type


def kwargs(message: Message) -> dict[str, Any]:
    """Return all fields of a message by name.

    Unset scalars have their default value. A float32 is the shortest decimal that rounds to it, an enum value its name,
    a map a dict and an unset repeated field `[]`; unset messages are left out. Whole numbers of a Struct are integers.
    """
    if isinstance(message, Struct):
        return {key: _integers(value) for key, value in json_format.MessageToDict(message).items()}
    arguments = {}
    for field in fields_of(message).values():
        if field.is_repeated or not is_message(field) or message.HasField(field.name):
            arguments[field.name] = _value(field, getattr(message, field.name))
    return arguments


def _value(field: FieldDescriptor, value: Any) -> Any:
    if is_map(field):
        item = message_type(field).fields_by_name["value"]
        return {key: _single(item, element) for key, element in value.items()}
    if field.is_repeated:
        return [_single(field, element) for element in value]
    return _single(field, value)


def _integers(value: Any) -> Any:
    """Convert the whole numbers in a value of a Struct, which are floating point, to integers."""
    if isinstance(value, dict):
        return {key: _integers(element) for key, element in value.items()}
    if isinstance(value, list):
        return [_integers(element) for element in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _single(field: FieldDescriptor, value: Any) -> Any:
    if is_message(field):
        return kwargs(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return enum_type(field).values_by_number[value].name
    return shortest(value) if field.type == FieldDescriptor.TYPE_FLOAT else value


def shortest(value: float) -> float:
    """Return the decimal with the fewest digits that equals `value` in float32: 0.1 for 0.10000000149011612."""
    packed = struct.pack("f", value)
    for digits in range(1, 10):
        candidate = float(f"{value:.{digits}g}")
        try:
            if struct.pack("f", candidate) == packed:
                return candidate
        except OverflowError:  # rounding the largest float32 up exceeds its range
            continue
    return value
