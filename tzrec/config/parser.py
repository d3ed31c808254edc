"""Text -> message, with the place of every field and every mistake at once.

protobuf's own `text_format.Parse` stops at the first mistake and forgets where things stood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec.config.names import closest, did_you_mean
from tzrec.config.schema import MISSING, enum_type, fields_of, is_map, is_message, oneof_name
from tzrec.config.syntax import Atom, Body, FieldEntry, TextSyntaxError, parse_tree
from tzrec.errors import ConfigError, Problem

Location = tuple[int, int]
Locations = dict[str, Location]
_SURE = 0.75
"""A misspelt field this close to a known one is read as that one, so that one slip makes one problem."""


@dataclass
class Parsed:
    """What a text says, where, and what is wrong with it; a message with problems is only good for finding more."""

    message: Message
    locations: Locations = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def parse(text: str, message: Message, file: str, path: str = "", ignore_unknown: bool = False) -> Parsed:
    """Merge a text into a message.

    Args:
        text: protobuf text format.
        message: empty, or without the fields that the text sets.
        file: how problems name the text.
        path: field path of `message`, put before the paths of its fields.
        ignore_unknown: leave unknown fields out without a word.

    Raises:
        ConfigError: a real syntax error, with its place.
    """
    try:
        tree = parse_tree(text)
    except TextSyntaxError as error:
        raise ConfigError([Problem("", str(error), f"{file}:{error.line}:{error.column}")]) from error
    parsed = Parsed(message)
    _Builder(parsed, file, ignore_unknown).fill(tree, message, path, (1, 1))
    return parsed


def parse_field(text: str, message: Message, descriptor: FieldDescriptor, file: str, path: str) -> Parsed:
    """Set one field of a message from the text of its value: `[1, 2]`, `"a"`, `{ ... }`; the same errors."""
    try:
        tree = parse_tree(f"{descriptor.name}: {text}")
    except TextSyntaxError as error:
        example = "{ ... }" if is_message(descriptor) else "1, 2"
        example = '"a", "b"' if descriptor.type == FieldDescriptor.TYPE_STRING else example
        raise ConfigError([Problem(path, f"expected text like [{example}], received {text}: {error}", file)]) from error
    parsed = Parsed(message)
    builder = _Builder(parsed, file, ignore_unknown=False)
    builder.values(tree.entries[0], descriptor, message, path)
    for extra in tree.entries[1:]:
        parsed.problems.append(Problem(path, f'expected one value, received more: "{extra.name}"', file))
    return parsed


def join(path: str, name: str) -> str:
    """The path of a field of the message at `path`."""
    return f"{path}.{name}" if path else name


class _Seen:
    """Fields of one message that the text has set so far, rightly or wrongly."""

    def __init__(self) -> None:
        self.locations: dict[str, Location] = {}
        self.oneofs: dict[str, str] = {}


class _Builder:
    def __init__(self, parsed: Parsed, file: str, ignore_unknown: bool) -> None:
        self._parsed = parsed
        self._file = file
        self._ignore_unknown = ignore_unknown

    def fill(self, body: Body, message: Message, path: str, place: Location) -> None:
        """Set the fields of a message; `location` is where the message itself is named."""
        seen = _Seen()
        for entry in body.entries:
            self._entry(entry, message, path, seen)
        for each in fields_of(message).values():
            if each.is_required and each.name not in seen.locations and not message.HasField(each.name):
                self._problem(join(path, each.name), MISSING, place)

    def _problem(self, path: str, text: str, place: Location) -> None:
        self._parsed.problems.append(Problem(path, text, f"{self._file}:{place[0]}:{place[1]}"))

    def _entry(self, entry: FieldEntry, message: Message, path: str, seen: _Seen) -> None:
        descriptor = fields_of(message).get(entry.name)
        if descriptor is None and self._ignore_unknown:
            return
        if descriptor is None:
            descriptor = self._unknown(entry, message, path, seen)
        if descriptor is None or not self._admit(entry, descriptor, path, seen):
            return
        self.values(entry, descriptor, message, join(path, descriptor.name))

    def values(self, entry: FieldEntry, descriptor: FieldDescriptor, message: Message, here: str) -> None:
        """Set one field, whose path is `here`, to all values of an entry."""
        if entry.listed and not descriptor.is_repeated:
            self._problem(here, "expected one value, received a list", (entry.line, entry.column))
            return
        self._parsed.locations.setdefault(here, (entry.line, entry.column))
        for value in entry.values:
            place = (value.line, value.column) if entry.listed else (entry.line, entry.column)
            self._value(value, descriptor, message, here, place)

    def _unknown(self, entry: FieldEntry, message: Message, path: str, seen: _Seen) -> FieldDescriptor | None:
        """Report an unknown field, and read it as the known one that it surely was meant to be."""
        fields = fields_of(message)
        here = join(path, entry.name)
        self._problem(here, f"no such field{did_you_mean(entry.name, fields)}", (entry.line, entry.column))
        match = closest(entry.name, fields, _SURE)
        if match is None or match in seen.locations:
            return None
        meant = fields[match]
        fits = is_message(meant) == all(isinstance(value, Body) for value in entry.values)
        return meant if fits and oneof_name(meant) not in seen.oneofs else None

    def _admit(self, entry: FieldEntry, descriptor: FieldDescriptor, path: str, seen: _Seen) -> bool:
        """Report a singular field that is given twice and a second member of a oneof."""
        here, place = join(path, descriptor.name), (entry.line, entry.column)
        first = seen.locations.setdefault(descriptor.name, place)
        if first is not place and not descriptor.is_repeated:
            self._problem(here, f"is given twice, first at line {first[0]}", place)
            return False
        oneof = oneof_name(descriptor)
        if not oneof:
            return True
        other = seen.oneofs.setdefault(oneof, descriptor.name)
        if other != descriptor.name:
            line = seen.locations[other][0]
            self._problem(here, f'only one {oneof} can be chosen, and line {line} chooses "{other}"', place)
        return other == descriptor.name

    def _value(
        self, value: Atom | Body, descriptor: FieldDescriptor, message: Message, path: str, place: Location
    ) -> None:
        if isinstance(value, Atom) and is_message(descriptor):
            self._problem(path, f"expected a message {{ ... }}, received {value.text}", (value.line, value.column))
        elif isinstance(value, Body) and not is_message(descriptor):
            self._problem(path, f"expected {_kind(descriptor)}, received a message", (value.line, value.column))
        elif isinstance(value, Body):
            self._message(value, descriptor, message, path, place)
        else:
            self._scalar(value, descriptor, message, path, place)

    def _message(self, body: Body, descriptor: FieldDescriptor, message: Message, path: str, place: Location) -> None:
        if is_map(descriptor):
            self._map_entry(body, getattr(message, descriptor.name), path, place)
            return
        if descriptor.is_repeated:
            items = getattr(message, descriptor.name)
            path = f"{path}[{len(items)}]"
            self._parsed.locations[path] = place
            child = items.add()
        else:
            child = getattr(message, descriptor.name)
            child.SetInParent()
        self.fill(body, child, path, place)

    def _map_entry(self, body: Body, items: Any, path: str, place: Location) -> None:
        item = items.GetEntryClass()()
        self.fill(body, item, f"{path}[{len(items)}]", place)
        self._parsed.locations[f'{path}["{item.key}"]'] = place
        if isinstance(item.value, Message):
            items[item.key].CopyFrom(item.value)
        else:
            items[item.key] = item.value

    def _scalar(self, atom: Atom, descriptor: FieldDescriptor, message: Message, path: str, place: Location) -> None:
        if descriptor.is_repeated:
            path = f"{path}[{len(getattr(message, descriptor.name))}]"
            self._parsed.locations[path] = place
        try:
            value = read_scalar(atom, descriptor)
        except ValueError as error:
            self._problem(path, str(error), (atom.line, atom.column))
            return
        if descriptor.is_repeated:
            getattr(message, descriptor.name).append(value)
        else:
            setattr(message, descriptor.name, value)


def read_scalar(atom: Atom, descriptor: FieldDescriptor) -> Any:
    """The value of a scalar as it is written.

    Raises:
        ValueError: says what was received and what is right.
    """
    if descriptor.type == FieldDescriptor.TYPE_ENUM:
        return _read_enum(atom, descriptor)
    kind, read, accepted = _SCALARS[descriptor.type]
    try:
        if atom.kind not in accepted:
            raise ValueError
        return read(atom)
    except ValueError as error:
        quotes = "; strings need quotes" if kind == "a string" and atom.kind != "string" else ""
        raise ValueError(f"expected {kind}, received {atom.text}{quotes}") from error


def _read_enum(atom: Atom, descriptor: FieldDescriptor) -> int:
    try:
        number: int = text_format.ParseEnum(descriptor, atom.text)
        return number
    except ValueError as error:
        names = enum_type(descriptor).values_by_name
        bare = atom.value.decode("utf-8", "replace") if atom.kind == "string" else atom.text
        if bare in names:
            raise ValueError(f"expected a bare enum value, received {atom.text}; leave the quotes out") from error
        raise ValueError(
            f'no such value "{bare}" of {enum_type(descriptor).name}{did_you_mean(bare, names)}'
        ) from error


def _kind(descriptor: FieldDescriptor) -> str:
    return "an enum" if descriptor.type == FieldDescriptor.TYPE_ENUM else _SCALARS[descriptor.type][0]


def _integer(is_signed: bool, is_long: bool) -> Callable[[Atom], int]:
    def read(atom: Atom) -> int:
        number: int = text_format.ParseInteger(atom.text, is_signed=is_signed, is_long=is_long)
        return number

    return read


def _bool(atom: Atom) -> bool:
    text = atom.value.decode("utf-8", "replace") if atom.kind == "string" else atom.text
    return bool(text_format.ParseBool(text))


_Row = tuple[str, Callable[[Atom], Any], tuple[str, ...]]
_FLOAT: _Row = ("a number", lambda atom: text_format.ParseFloat(atom.text), ("word", "number"))
_SCALARS: dict[int, _Row] = {
    FieldDescriptor.TYPE_INT32: ("an integer of 32 bits", _integer(True, False), ("number",)),
    FieldDescriptor.TYPE_INT64: ("an integer of 64 bits", _integer(True, True), ("number",)),
    FieldDescriptor.TYPE_UINT32: ("an integer of 32 bits from 0 up", _integer(False, False), ("number",)),
    FieldDescriptor.TYPE_UINT64: ("an integer of 64 bits from 0 up", _integer(False, True), ("number",)),
    FieldDescriptor.TYPE_FLOAT: _FLOAT,
    FieldDescriptor.TYPE_DOUBLE: _FLOAT,
    FieldDescriptor.TYPE_BOOL: ("true or false", _bool, ("word", "number", "string")),
    FieldDescriptor.TYPE_STRING: ("a string", lambda atom: atom.value.decode("utf-8"), ("string",)),
}
