"""Fields, values and components that are not supported, or have no effect."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.checker import FieldChecker
from tzrec.config.options import (
    field_rule,
    ignored_value,
    implemented_members,
    unreadable_value,
    unsupported_value,
    use_instead,
)
from tzrec.config.parser import join
from tzrec.config.schema import enum_type, is_message


def check_support(checker: FieldChecker) -> None:
    """Report unsupported fields, values and components. Runs before the other rules, which skip such fields."""
    for path, message in checker.messages():
        for field, value in message.ListFields():
            _check_field(checker, join(path, field.name), message, field, value)


def _check_field(checker: FieldChecker, path: str, message: Message, field: FieldDescriptor, value: Any) -> None:
    rule = field_rule(field)
    if is_message(field) or field.is_repeated or value != field.default_value:
        if rule.unsupported:
            _unsupported(checker, path, field, value, f"is not supported; {rule.unsupported}")
        elif rule.ignored:
            checker.warning(path, f"has no effect: {rule.ignored}")
    is_text = field.type == FieldDescriptor.TYPE_STRING
    if is_text and any("\0" in text for text in (value if field.is_repeated else [value])):
        checker.error(path, "contains a NUL character, which no text of a config may")
    if field.type == FieldDescriptor.TYPE_ENUM and not field.is_repeated:
        chosen = enum_type(field).values_by_number[value]
        if ignored_value(chosen):
            checker.warning(path, f"{chosen.name} has no effect: {ignored_value(chosen)}")
        if unreadable_value(chosen):
            checker.warning(path, f"{chosen.name} cannot be read; {unreadable_value(chosen)}")
        if unsupported_value(chosen):
            checker.unsupported(path, f"{chosen.name} is not supported; {unsupported_value(chosen)}")
    oneof = field.containing_oneof
    if oneof is not None and not registry.is_implemented(field):
        members = ", ".join(implemented_members(oneof))
        alternative = use_instead(oneof) or (f"use one of {members}" if members else "leave it out")
        checker.unsupported(path, f"is not supported; {alternative}")


def _unsupported(checker: FieldChecker, path: str, field: FieldDescriptor, value: Any, message: str) -> None:
    checker.unsupported(path, message)
    if field.is_repeated and is_message(field):
        checker.unsupported_paths.update(f"{path}[{index}]" for index in range(len(value)))
