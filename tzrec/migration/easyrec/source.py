"""Source: a message of an EasyRec config, read field by field without its schema.

A field that a conversion reads, or mentions with a reason, is done with; all others are listed in the end, so that none
is dropped silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.message import Message

from tzrec.config.parser import join, read_scalar
from tzrec.config.schema import fields_of
from tzrec.config.syntax import Atom, Body, FieldEntry
from tzrec.errors import Problem

Rows = Mapping[str, "str | tuple[str, float | str]"]
"""Field of EasyRec -> field here, with the default that EasyRec has for it where it must be written out."""

_TRUE, _FALSE = ("true", "True", "t", "1"), ("false", "False", "f", "0")


class Omissions:
    """Fields that a conversion could not carry over, or changed.

    Attributes:
        file: name of the config in places.
        problems: in the order of the text.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._problem_by_place: dict[tuple[int, int, str], Problem] = {}

    @property
    def problems(self) -> list[Problem]:
        return [problem for _, problem in sorted(self._problem_by_place.items(), key=lambda item: item[0][:2])]

    def add(self, path: str, message: str, line: int, column: int) -> None:
        """Add a field with the reason why it is not carried over, or is changed."""
        self._problem_by_place[line, column, path] = Problem(path, message, f"{self.file}:{line}:{column}")


class Source:
    """Message of a config.

    Args:
        body: its entries.
        path: its field path, "" of the root.
        omissions: collects what is not carried over.
    """

    def __init__(self, body: Body, path: str, omissions: Omissions) -> None:
        self._body, self.path, self._omissions = body, path, omissions
        self._read: set[str] = set()
        self._children: dict[int, Source] = {}

    def has(self, name: str) -> bool:
        """True if the field is set; this does not count as reading it."""
        return any(entry.name == name for entry in self._body.entries)

    def names(self) -> list[str]:
        """Names of the fields that are set, in order."""
        return list(dict.fromkeys(entry.name for entry in self._body.entries))

    def messages(self, name: str) -> list[Source]:
        """Read the messages of a repeated field; one of a singular field."""
        bodies = [value for value in self._values(name) if isinstance(value, Body)]
        return [self._child(body, join(self.path, name) + f"[{index}]") for index, body in enumerate(bodies)]

    def message(self, name: str) -> Source | None:
        """Read a message, None if it is not set."""
        bodies = [value for value in self._values(name) if isinstance(value, Body)]
        return self._child(bodies[0], join(self.path, name)) if bodies else None

    def child(self, name: str) -> Source:
        """Read a message; one without fields if it is not set."""
        return self.message(name) or Source(Body(1, 1), join(self.path, name), self._omissions)

    def texts(self, name: str) -> list[str]:
        """Read strings, numbers or words as they are written."""
        return [_text(value) for value in self._values(name) if isinstance(value, Atom)]

    def text(self, name: str, default: str = "") -> str:
        """Read the last value of a field as it is written."""
        return (self.texts(name) or [default])[-1]

    def numbers(self, name: str) -> list[float]:
        """Read numbers; a value of another kind is reported."""
        numbers = []
        for text in self.texts(name):
            try:
                numbers.append(float(text))
            except ValueError:
                self.note(name, f"expected a number, received {text}")
        return numbers

    def number(self, name: str, default: float = 0.0) -> float:
        """Read the last number of a field."""
        return (self.numbers(name) or [default])[-1]

    def integer(self, name: str, default: int = 0) -> int:
        """Read the last number of a field as a whole one."""
        return int(self.number(name, default))

    def flag(self, name: str, default: bool = False) -> bool:
        """Read a boolean; a value of another kind is reported."""
        text = self.text(name, "true" if default else "false")
        if text not in (*_TRUE, *_FALSE):
            self.note(name, f"expected true or false, received {text}")
        return text in _TRUE

    def note(self, name: str, message: str) -> None:
        """Omissions a field, if it is set, with the reason why it is not carried over or is changed."""
        for entry in self._entries(name):
            self._omissions.add(join(self.path, name), message, entry.line, entry.column)

    def remark(self, message: str) -> None:
        """Omissions the message as a whole."""
        self._omissions.add(self.path, message, self._body.line, self._body.column)

    def copy(self, target: Message, rows: Rows) -> None:
        """Copy scalars into the fields of a message, by a table. A value of another type is reported."""
        for name, row in rows.items():
            target_name, default = (row, None) if isinstance(row, str) else row
            descriptor = fields_of(target)[target_name]
            if default is not None and not self.has(name):
                setattr(target, target_name, default)
            for value in self._values(name):
                try:
                    assert isinstance(value, Atom)
                    scalar = read_scalar(value, descriptor)
                except (AssertionError, ValueError) as error:
                    self.note(name, str(error) or "expected a value, received a message")
                    continue
                if descriptor.is_repeated:
                    getattr(target, target_name).append(scalar)
                else:
                    setattr(target, target_name, scalar)

    def report_unread(self, reasons: Mapping[str, str], default: str) -> None:
        """Omissions all fields below that nothing has read; `reasons` are by path without indices, or by name."""
        for entry in self._body.entries:
            path = join(self.path, entry.name)
            if entry.name not in self._read:
                plain = "".join(_without_indices(path))
                reason = reasons.get(plain) or reasons.get(entry.name) or default
                self._omissions.add(path, reason, entry.line, entry.column)
        for child in self._children.values():
            child.report_unread(reasons, default)

    def _entries(self, name: str) -> Iterator[FieldEntry]:
        self._read.add(name)
        return (entry for entry in self._body.entries if entry.name == name)

    def _values(self, name: str) -> Iterable[Atom | Body]:
        return [value for entry in self._entries(name) for value in entry.values]

    def _child(self, body: Body, path: str) -> Source:
        return self._children.setdefault(id(body), Source(body, path, self._omissions))


def _text(atom: Atom) -> str:
    return atom.value.decode("utf-8", "replace") if atom.kind == "string" else atom.text


def _without_indices(path: str) -> Iterator[str]:
    is_index = False
    for character in path:
        is_index |= character == "["
        if not is_index:
            yield character
        is_index &= character != "]"


def only(message: Any, member: str) -> Any:
    """Select a member of a oneof, with all of its fields unset, and return it."""
    child = getattr(message, member)
    child.SetInParent()
    return child
