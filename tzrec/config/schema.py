"""Access to protobuf descriptors in one place, since their type stubs are incomplete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

_SEGMENT = re.compile(r"(\w+)(?:\[(\d+)\])?")

MISSING = "is required and missing"
"""Message for a required field that is not set."""


def fields_of(message: Message) -> Mapping[str, FieldDescriptor]:
    """Return the fields of a message by name, in declared order."""
    return cast(Mapping[str, FieldDescriptor], message.DESCRIPTOR.fields_by_name)


def is_set(message: Message, name: str) -> bool:
    """True if a field is set; a list or map if it is not empty."""
    is_repeated = fields_of(message)[name].is_repeated
    return bool(getattr(message, name)) if is_repeated else message.HasField(name)


def message_type(field: FieldDescriptor) -> Descriptor:
    """Return the message type of a message field."""
    assert field.message_type is not None
    return field.message_type


def descriptor_of(message: Message | type[Message]) -> Descriptor:
    """Return the descriptor of a message."""
    return cast(Descriptor, message.DESCRIPTOR)


def oneof_of(message: Message | type[Message], name: str) -> OneofDescriptor:
    """Return the descriptor of a oneof of a message."""
    return descriptor_of(message).oneofs_by_name[name]


def enum_type(field: FieldDescriptor) -> EnumDescriptor:
    """Return the enum type of an enum field."""
    assert field.enum_type is not None
    return field.enum_type


def is_message(field: FieldDescriptor) -> bool:
    """True if a field holds messages; map entries are messages too."""
    return bool(field.type == FieldDescriptor.TYPE_MESSAGE)


def is_map(field: FieldDescriptor) -> bool:
    """True if a field is a map."""
    return is_message(field) and bool(message_type(field).GetOptions().map_entry)


def oneof_name(field: FieldDescriptor) -> str:
    """Return the oneof that a field is a member of, or ""."""
    return field.containing_oneof.name if field.containing_oneof is not None else ""


def messages_around(root: Message, path: str) -> list[Message]:
    """Return the messages around the field at a path, from the root to the innermost."""
    messages: list[Any] = [root]
    for segment in list(_SEGMENT.finditer(path))[:-1]:
        child = getattr(messages[-1], segment[1])
        messages.append(child if segment[2] is None else child[int(segment[2])])
    return messages


def missing_required(message: Message) -> list[str]:
    """Return the paths of all required fields that are not set."""
    missing: list[str] = message.FindInitializationErrors()  # type: ignore[attr-defined]
    return missing
