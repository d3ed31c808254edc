"""Questions to protobuf descriptors, asked in one place because their type stubs say less than they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

MISSING = "is required and missing"
"""What is said of a required field that is not set."""


def fields_of(message: Message) -> Mapping[str, FieldDescriptor]:
    """The fields of a message by name, in declared order."""
    return cast(Mapping[str, FieldDescriptor], message.DESCRIPTOR.fields_by_name)


def is_set(message: Message, name: str) -> bool:
    """Whether a field is set; a list or map is when it holds something."""
    is_repeated = fields_of(message)[name].is_repeated
    return bool(getattr(message, name)) if is_repeated else message.HasField(name)


def message_type(field: FieldDescriptor) -> Descriptor:
    """The message a message field holds."""
    assert field.message_type is not None
    return field.message_type


def enum_type(field: FieldDescriptor) -> EnumDescriptor:
    """The enum an enum field holds."""
    assert field.enum_type is not None
    return field.enum_type


def is_message(field: FieldDescriptor) -> bool:
    """Whether a field holds messages; map entries are messages too."""
    return bool(field.type == FieldDescriptor.TYPE_MESSAGE)


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map."""
    return is_message(field) and bool(message_type(field).GetOptions().map_entry)


def oneof_name(field: FieldDescriptor) -> str:
    """The oneof a field is a member of, or ""."""
    return field.containing_oneof.name if field.containing_oneof is not None else ""


def missing_required(message: Message) -> list[str]:
    """Paths of all required fields that are not set."""
    missing: list[str] = message.FindInitializationErrors()  # type: ignore[attr-defined]
    return missing
