"""What nothing implements yet is refused with its name and place, never silently ignored."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.checker import Checker
from tzrec.config.parser import join
from tzrec.config.schema import enum_type, fields_of, is_message, oneof_name
from tzrec.config.unsupported import FIELDS, INSTEAD, PACKAGES, VALUES


def refuse_unimplemented(checker: Checker) -> None:
    """Look at every field that is set; must run before the other rules, which stay out of what is refused here."""
    for path, message in checker.messages():
        for field, value in message.ListFields():
            _look(checker, path, message, field, value)


def _look(checker: Checker, path: str, message: Message, field: FieldDescriptor, value: Any) -> None:
    key, here = f"{message.DESCRIPTOR.name}.{field.name}", join(path, field.name)
    said = FIELDS.get(key)
    if said is not None and (is_message(field) or field.is_repeated or value != field.default_value):
        _refuse(checker, here, field, value, said)
    if key in VALUES:
        name = enum_type(field).values_by_number[value].name
        if name in VALUES[key]:
            checker.unsupported(here, f"{name} {VALUES[key][name]}")
    oneof = f"{message.DESCRIPTOR.name}.{oneof_name(field)}"
    if oneof in PACKAGES and not is_implemented(field, PACKAGES[oneof]):
        alternatives = members(message, oneof_name(field), PACKAGES[oneof])
        checker.unsupported(here, INSTEAD.get(oneof) or f"is not implemented yet; there are {', '.join(alternatives)}")


def _refuse(checker: Checker, here: str, field: FieldDescriptor, value: Any, said: str) -> None:
    checker.unsupported(here, said)
    if field.is_repeated and is_message(field):
        checker.unsupported_paths.update(f"{here}[{index}]" for index in range(len(value)))


def is_implemented(field: FieldDescriptor, package: str | None) -> bool:
    """Whether a member of a oneof has its class."""
    return package is not None and registry.is_implemented(field, package)


def members(message: Message, oneof: str, package: str | None) -> list[str]:
    """The members of a oneof that are implemented."""
    fields = fields_of(message).values()
    return [field.name for field in fields if oneof_name(field) == oneof and is_implemented(field, package)]
