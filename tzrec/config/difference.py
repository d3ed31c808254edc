"""Differences between two configs by path: what they mean, not how they are written.

Features, groups and towers are matched by their names, losses and metrics by their kinds, so that an added feature is
one difference. A field that is set to its default equals one that is not set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.parser import join
from tzrec.config.schema import descriptor_of, enum_type, fields_of, is_map, is_message, is_set
from tzrec.formatting import shorten

_NAMES = ("feature_name", "sequence_name", "group_name", "tower_name", "name")
"""Fields that name an element of a list."""
_UNSET = "not set"
_MAX_ELEMENTS = 8
"""Length of lists up to which they are shown as a whole."""
_MAX_TEXT = 100


@dataclass(frozen=True)
class Difference:
    """Difference at a path.

    Attributes:
        path: field, with the names of elements in brackets: `feature_configs[price].raw_feature.boundaries`.
        left, right: values as text.
        left_path, right_path: field in the config, with the index of elements; "" where there is none.
    """

    path: str
    left: str
    right: str
    left_path: str
    right_path: str


@dataclass(frozen=True)
class _Place:
    """Path of a message for people, and its paths in both configs."""

    path: str = ""
    left: str = ""
    right: str = ""

    def field(self, name: str) -> _Place:
        return _Place(join(self.path, name), join(self.left, name), join(self.right, name))

    def element(self, key: str, left: int, right: int) -> _Place:
        return _Place(f"{self.path}[{key}]", f"{self.left}[{left}]", f"{self.right}[{right}]")


def differences(left: Message, right: Message) -> list[Difference]:
    """List the differences between two configs of the same type, in the order of the schema.

    Example:
        differences(load_config("a.config"), load_config("b.config"))
    """
    return list(_messages(left, right, _Place()))


def _messages(left: Message, right: Message, place: _Place) -> Iterator[Difference]:
    compared: set[str] = set()
    for oneof in descriptor_of(left).oneofs:
        members = [registry.oneof_member(message, oneof.name) for message in (left, right)]
        if members[0] and members[1] and members[0][0] is not members[1][0]:
            names = [member[0].name for member in members if member]
            texts = [_one_line(member[0], member[1]) for member in members if member]
            paths = [join(place.left, names[0]), join(place.right, names[1])]
            yield Difference(join(place.path, oneof.name), texts[0], texts[1], paths[0], paths[1])
            compared |= set(names)
    for name, field in fields_of(left).items():
        if name not in compared and (is_set(left, name) or is_set(right, name)):
            yield from _field(left, right, field, place.field(name))


def _field(left: Message, right: Message, field: FieldDescriptor, place: _Place) -> Iterator[Difference]:
    values = [getattr(message, field.name) for message in (left, right)]
    if is_map(field):
        for key in sorted({*values[0], *values[1]}):
            texts = [_scalar(field, value[key]) if key in value else _UNSET for value in values]
            if texts[0] != texts[1]:
                yield Difference(f"{place.path}[{key}]", texts[0], texts[1], place.left, place.right)
    elif field.is_repeated and is_message(field):
        yield from _elements(values[0], values[1], field, place)
    elif field.is_repeated:
        if list(values[0]) != list(values[1]):
            yield _difference(place, *_lists(field, values[0], values[1]))
    elif is_message(field):
        if is_set(left, field.name) and is_set(right, field.name):
            yield from _messages(values[0], values[1], place)
        else:
            has = [is_set(message, field.name) for message in (left, right)]
            texts = [_braces(value) if has else _UNSET for value, has in zip(values, has)]
            yield _difference(place, texts[0], texts[1], *has)
    else:
        yield from _scalars(left, right, field, place)


def _scalars(left: Message, right: Message, field: FieldDescriptor, place: _Place) -> Iterator[Difference]:
    has = [is_set(message, field.name) for message in (left, right)]
    values = [getattr(message, field.name) for message in (left, right)]
    is_same = _scalar(field, values[0]) == _scalar(field, values[1])
    if not is_same or (has[0] != has[1] and not field.has_default_value):
        texts = [_text(field, value, is_given) for value, is_given in zip(values, has)]
        yield _difference(place, texts[0], texts[1], *has)


def _text(field: FieldDescriptor, value: Any, is_given: bool) -> str:
    if is_given:
        return _scalar(field, value)
    return f"{_scalar(field, value)} (default)" if field.has_default_value else _UNSET


def _elements(left: Sequence[Any], right: Sequence[Any], field: FieldDescriptor, place: _Place) -> Iterator[Difference]:
    """Compare the elements of two lists of messages, matched by their names."""
    keys = [_keys(left), _keys(right)]
    for key, index in keys[0].items():
        if key in keys[1]:
            other = keys[1][key]
            yield from _messages(left[index], right[other], place.element(key, index, other))
        else:
            path = f"{place.path}[{key}]"
            yield Difference(path, _braces(left[index]), _UNSET, f"{place.left}[{index}]", "")
    for key, index in keys[1].items():
        if key not in keys[0]:
            yield Difference(f"{place.path}[{key}]", _UNSET, _braces(right[index]), "", f"{place.right}[{index}]")
    common = [[key for key in keys[side] if key in keys[1 - side]] for side in (0, 1)]
    if common[0] != common[1]:
        orders = [shorten(", ".join(names), _MAX_TEXT) for names in common]
        yield Difference(f"{place.path}: order", orders[0], orders[1], place.left, place.right)


def _keys(elements: Sequence[Message]) -> dict[str, int]:
    """Map the names of elements to their indices; elements without names of their own have their indices as names."""
    names = [_name(element) for element in elements]
    is_named = all(names) and max(Counter(names).values(), default=0) <= 1
    return {(name if is_named else str(index)): index for index, name in enumerate(names)}


def _name(message: Message) -> str:
    """Return the name of an element: its own, that of the member that it chooses, or the kind of this member."""
    fields = fields_of(message)
    for name in _NAMES:
        if name in fields and is_set(message, name):
            return str(getattr(message, name))
    for oneof in descriptor_of(message).oneofs:
        member = registry.oneof_member(message, oneof.name)
        if member is not None:
            return (_name(member[1]) if is_message(member[0]) else "") or member[0].name
    return ""


def _lists(field: FieldDescriptor, left: Sequence[Any], right: Sequence[Any]) -> tuple[str, str]:
    """Return two lists of scalars as text; of long ones the elements that only one of them has."""
    texts = [[_scalar(field, value) for value in values] for values in (left, right)]
    if max(map(len, texts)) <= _MAX_ELEMENTS:
        return _bracketed(texts[0]), _bracketed(texts[1])
    counts = [Counter(values) for values in texts]
    only = [list((counts[side] - counts[1 - side]).elements()) for side in (0, 1)]
    if not any(only):
        return _bracketed(texts[0]), f"{_bracketed(texts[1])} (another order)"
    return _summary(len(left), "without", only[0]), _summary(len(right), "with", only[1])


def _summary(count: int, word: str, values: Sequence[str]) -> str:
    only = f", of which only here: {shorten(', '.join(values), _MAX_TEXT)}" if values else ""
    return f"{count} values{only}"


def _bracketed(values: Sequence[str]) -> str:
    return f"[{shorten(', '.join(values), _MAX_TEXT)}]"


def _difference(place: _Place, left: str, right: str, has_left: bool = True, has_right: bool = True) -> Difference:
    return Difference(place.path, left, right, place.left if has_left else "", place.right if has_right else "")


def _one_line(field: FieldDescriptor, value: Any) -> str:
    return f"{field.name} {_braces(value)}" if is_message(field) else f"{field.name}: {_scalar(field, value)}"


def _braces(message: Message) -> str:
    text = text_format.MessageToString(message, as_one_line=True, as_utf8=True).strip()
    return f"{{ {shorten(text, _MAX_TEXT)} }}" if text else "{}"


def _scalar(field: FieldDescriptor, value: Any) -> str:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return enum_type(field).values_by_number[value].name
    if field.type == FieldDescriptor.TYPE_BOOL:
        return str(value).lower()
    if field.type == FieldDescriptor.TYPE_STRING:
        return f'"{value}"'
    return f"{value:.7g}" if field.type == FieldDescriptor.TYPE_FLOAT else str(value)
