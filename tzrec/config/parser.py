"""Parser of protobuf text format that reports all problems at once and keeps the location of every field.

`text_format.Parse` of protobuf stops at the first problem and keeps no locations.
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
_CUTOFF = 0.75
"""Similarity above which a misspelled field is read as the known field, so that one mistake is one problem."""


@dataclass
class Parsed:
    """Message, locations of its fields, problems and warnings; a message with problems only serves to find more."""

    message: Message
    locations: Locations = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def parse(text: str, message: Message, file: str, path: str = "", ignore_unknown: bool = False) -> Parsed:
    """Parse a text into a message.

    Args:
        text: protobuf text format.
        message: empty, or without the fields that the text sets.
        file: name of the text in problems.
        path: field path of `message`, the prefix of the paths of its fields.
        ignore_unknown: skip unknown fields.

    Raises:
        ConfigError: The text has a syntax error.
    """
    try:
        tree = parse_tree(text)
    except TextSyntaxError as error:
        raise ConfigError([Problem("", str(error), f"{file}:{error.line}:{error.column}")]) from error
    parsed = Parsed(message)
    _Builder(parsed, file, ignore_unknown).fill(tree, message, path, (1, 1))
    return parsed


def parse_field(text: str, message: Message, descriptor: FieldDescriptor, file: str, path: str) -> Parsed:
    """Set a field of a message from the text of its value: `[1, 2]`, `"a"`, `{ ... }`.

    Raises:
        ConfigError: The text has a syntax error.
    """
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
    """Return the path of a field of the message at `path`."""
    return f"{path}.{name}" if path else name


class _SetFields:
    """Fields of a message that the text has set so far, with or without problems."""

    def __init__(self) -> None:
        self.locations: dict[str, Location] = {}
        self.oneofs: dict[str, str] = {}


class _Builder:
    def __init__(self, parsed: Parsed, file: str, ignore_unknown: bool) -> None:
        self._parsed = parsed
        self._file = file
        self._ignore_unknown = ignore_unknown

    def fill(self, body: Body, message: Message, path: str, location: Location) -> None:
        """Set the fields of a message; `location` is that of the message itself."""
        seen = _SetFields()
        for entry in body.entries:
            self._entry(entry, message, path, seen)
        for known in fields_of(message).values():
            if known.is_required and known.name not in seen.locations and not message.HasField(known.name):
                self._problem(join(path, known.name), MISSING, location)

    def _problem(self, path: str, text: str, location: Location) -> None:
        self._parsed.problems.append(self._located(path, text, location))

    def _located(self, path: str, text: str, location: Location) -> Problem:
        return Problem(path, text, f"{self._file}:{location[0]}:{location[1]}")

    def _entry(self, entry: FieldEntry, message: Message, path: str, seen: _SetFields) -> None:
        descriptor = fields_of(message).get(entry.name)
        if descriptor is None and self._ignore_unknown:
            return
        if descriptor is None:
            descriptor = self._unknown(entry, message, path, seen)
        if descriptor is None or not self._admit(entry, descriptor, path, seen):
            return
        self.values(entry, descriptor, message, join(path, descriptor.name))

    def values(self, entry: FieldEntry, descriptor: FieldDescriptor, message: Message, field_path: str) -> None:
        """Set the field at a path to all values of an entry."""
        if entry.listed and not descriptor.is_repeated:
            self._problem(field_path, "expected one value, received a list", (entry.line, entry.column))
            return
        self._parsed.locations.setdefault(field_path, (entry.line, entry.column))
        for value in entry.values:
            location = (value.line, value.column) if entry.listed else (entry.line, entry.column)
            self._value(value, descriptor, message, field_path, location)

    def _unknown(self, entry: FieldEntry, message: Message, path: str, seen: _SetFields) -> FieldDescriptor | None:
        """Report an unknown field, and return the known field if the name is similar enough to be a misspelling."""
        fields = fields_of(message)
        field_path = join(path, entry.name)
        self._problem(field_path, f"no such field{did_you_mean(entry.name, fields)}", (entry.line, entry.column))
        match = closest(entry.name, fields, _CUTOFF)
        if match is None or match in seen.locations:
            return None
        known_field = fields[match]
        fits = is_message(known_field) == all(isinstance(value, Body) for value in entry.values)
        return known_field if fits and oneof_name(known_field) not in seen.oneofs else None

    def _admit(self, entry: FieldEntry, descriptor: FieldDescriptor, path: str, seen: _SetFields) -> bool:
        """Return False for, and report, a second message of a singular field or a second member of a oneof.

        Of several values of a scalar the last one counts, as in protobuf's own parser, with a warning.
        """
        field_path, location = join(path, descriptor.name), (entry.line, entry.column)
        first = seen.locations.setdefault(descriptor.name, location)
        if first is not location and not descriptor.is_repeated:
            text = f"is set twice, first at line {first[0]}"
            if is_message(descriptor):
                self._problem(field_path, text, location)
                return False
            self._parsed.warnings.append(self._located(field_path, f"{text}; the last value counts", location))
            self._parsed.locations[field_path] = location
        oneof = oneof_name(descriptor)
        if not oneof:
            return True
        other = seen.oneofs.setdefault(oneof, descriptor.name)
        if other != descriptor.name:
            line = seen.locations[other][0]
            self._problem(field_path, f'only one {oneof} can be chosen, and line {line} chooses "{other}"', location)
        return other == descriptor.name

    def _value(
        self, value: Atom | Body, descriptor: FieldDescriptor, message: Message, path: str, location: Location
    ) -> None:
        if isinstance(value, Atom) and is_message(descriptor):
            self._problem(path, f"expected a message {{ ... }}, received {value.text}", (value.line, value.column))
        elif isinstance(value, Body) and not is_message(descriptor):
            self._problem(path, f"expected {_kind(descriptor)}, received a message", (value.line, value.column))
        elif isinstance(value, Body):
            self._message(value, descriptor, message, path, location)
        else:
            self._scalar(value, descriptor, message, path, location)

    def _message(
        self, body: Body, descriptor: FieldDescriptor, message: Message, path: str, location: Location
    ) -> None:
        if is_map(descriptor):
            self._map_entry(body, getattr(message, descriptor.name), path, location)
            return
        if descriptor.is_repeated:
            items = getattr(message, descriptor.name)
            path = f"{path}[{len(items)}]"
            self._parsed.locations[path] = location
            child = items.add()
        else:
            child = getattr(message, descriptor.name)
            child.SetInParent()
        self.fill(body, child, path, location)

    def _map_entry(self, body: Body, items: Any, path: str, location: Location) -> None:
        item = items.GetEntryClass()()
        self.fill(body, item, f"{path}[{len(items)}]", location)
        self._parsed.locations[f'{path}["{item.key}"]'] = location
        if isinstance(item.value, Message):
            items[item.key].CopyFrom(item.value)
        else:
            items[item.key] = item.value

    def _scalar(self, atom: Atom, descriptor: FieldDescriptor, message: Message, path: str, location: Location) -> None:
        if descriptor.is_repeated:
            path = f"{path}[{len(getattr(message, descriptor.name))}]"
            self._parsed.locations[path] = location
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
    """Read the value of a scalar.

    Raises:
        ValueError: The text is not of the type of the field.
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
