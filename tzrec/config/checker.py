"""Checker: a config under inspection, what has been found wrong with it, and ways to look around in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from tzrec.config.load import ConfigSource
from tzrec.config.names import hint
from tzrec.config.parser import join
from tzrec.config.schema import is_map, is_message
from tzrec.errors import Problem
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@dataclass
class Checker:
    """What the rules share.

    Attributes:
        source: the config and its places.
        device: "cpu" or "cuda", where it is to run.
        unsupported_paths: paths that nothing implements; no other rule looks below them.
        problems: what the rules have found.
    """

    source: ConfigSource
    device: str = "cpu"
    unsupported_paths: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    @property
    def config(self) -> EasyRecConfig:
        return self.source.config

    @property
    def on_cpu(self) -> bool:
        return self.device == "cpu"

    def error(self, path: str, message: str) -> None:
        """Report a problem at a field."""
        self.problems.append(Problem(path, message, self.location(path)))

    def unsupported(self, path: str, message: str) -> None:
        """Report a field that nothing implements, and keep the other rules out of it."""
        self.unsupported_paths.add(path)
        self.error(path, message)

    def unknown_name(self, path: str, what: str, name: str, names: Iterable[str]) -> None:
        """Report a name that is not among the known ones."""
        self.error(path, f'unknown {what} "{name}"{hint(name, names)}')

    def location(self, path: str) -> str:
        """`file:line:column` of a field, or of the nearest message around it that stands in the text."""
        places = self.source.locations
        while path and path not in places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        if not places:
            return self.source.path
        line, column = places.get(path, (1, 1))
        return f"{self.source.path}:{line}:{column}"

    def is_unsupported(self, path: str) -> bool:
        return path in self.unsupported_paths

    def has_parse_errors(self, path: str) -> bool:
        """Whether the text below a path has problems of its own, so that what seems missing there may be misspelt."""
        return any(problem.field.startswith((f"{path}.", f"{path}[")) for problem in self.source.problems)

    def messages(self) -> Iterator[tuple[str, Message]]:
        """Every message that is set, with its path, from the root down."""
        yield from self._below("", self.config)

    def _below(self, path: str, message: Message) -> Iterator[tuple[str, Message]]:
        yield path, message
        for here, value in children(path, message):
            if here not in self.unsupported_paths:
                yield from self._below(here, value)


def children(path: str, message: Message) -> Iterator[tuple[str, Message]]:
    """The messages that a message holds, each with its path; maps aside."""
    for descriptor, value in message.ListFields():
        here = join(path, descriptor.name)
        if not is_message(descriptor) or is_map(descriptor):
            continue
        if descriptor.is_repeated:
            yield from ((f"{here}[{index}]", each) for index, each in enumerate(value))
        else:
            yield here, value


def repeated(path: str, values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """The elements of a repeated field, each with its path."""
    return ((f"{path}[{index}]", value) for index, value in enumerate(values))


def check_unique(checker: Checker, what: str, named: Iterable[tuple[str, str]]) -> None:
    """Report names that occur again; `named` are (path of the name, name)."""
    first: dict[str, str] = {}
    for path, name in named:
        if name in first:
            line = checker.source.locations.get(first[name], (0, 0))[0]
            where = f"at line {line}" if line else f"at {first[name]}"
            checker.error(path, f'"{name}" is already the name of another {what}, {where}')
        first.setdefault(name, path)
