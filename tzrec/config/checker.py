"""Checker: a config under inspection and the problems found so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from tzrec.config.load import ConfigSource, MessageSource
from tzrec.config.names import did_you_mean
from tzrec.config.parser import join
from tzrec.config.schema import fields_of, is_map, is_message, messages_around
from tzrec.errors import Problem
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_MAX_SUGGESTIONS = 20


@dataclass(eq=False)
class FieldChecker:
    """State that the rules of fields share, for a config of any root.

    Attributes:
        source: config and the locations of its fields.
        device: "cpu" or "cuda", where the config is to run.
        unsupported_paths: paths of fields that are not supported; rules do not look below them.
        problems: errors, which keep a config from running.
        warnings: what is most likely a mistake, such as fields without effect.
        missing_files: files that a run would read and that are not on this machine.
    """

    source: MessageSource
    device: str = "cpu"
    unsupported_paths: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    missing_files: list[Path] = field(default_factory=list)
    _num_suggestions: int = 0

    @property
    def is_cpu(self) -> bool:
        return self.device == "cpu"

    def error(self, path: str, message: str) -> None:
        """Report a problem of a field."""
        self.problems.append(Problem(path, message, self.location(path)))

    def warning(self, path: str, message: str) -> None:
        """Report what is most likely a mistake, and keeps nothing from running."""
        self.warnings.append(Problem(path, message, self.location(path)))

    def unsupported(self, path: str, message: str) -> None:
        """Report a field that is not supported and exclude it from all other rules."""
        self.unsupported_paths.add(path)
        self.error(path, message)

    def missing_file(self, path: str, file: Path) -> None:
        """Report a file that a run would read; it may exist where the run is."""
        self.missing_files.append(file)
        self.warning(path, f'there is no file "{file}": training fails until there is one')

    def unknown_name(self, path: str, kind: str, name: str, names: Iterable[str]) -> None:
        """Report a name that is not among the known ones; the first ones with a suggestion, which takes its time."""
        self._num_suggestions += 1
        suggestion = did_you_mean(name, names) if self._num_suggestions <= _MAX_SUGGESTIONS else ""
        self.error(path, f'unknown {kind} "{name}"{suggestion}')

    def location(self, path: str) -> str:
        """Return `file:line:column` of a field, or of the nearest enclosing message that is in the text."""
        locations = self.source.locations
        while path and path not in locations:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        if not locations:
            return self.source.path
        line, column = locations.get(path, (1, 1))
        return f"{self.source.path}:{line}:{column}"

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return problems that were found without the text, with the locations of their fields in it."""
        return [Problem(problem.field, problem.message, self.location(problem.field)) for problem in problems]

    def is_unsupported(self, path: str) -> bool:
        return path in self.unsupported_paths

    def has_parse_errors(self, path: str) -> bool:
        """True if the text below a path has parse errors: a field that seems missing may be misspelled."""
        return path in self.source.paths_with_problems

    def messages(self) -> Iterator[tuple[str, Message]]:
        """Iterate over all messages that are set, with their paths, from the root down."""
        yield from self._below("", self.source.config)

    def _below(self, path: str, message: Message) -> Iterator[tuple[str, Message]]:
        yield path, message
        for child_path, child in children(path, message):
            if child_path not in self.unsupported_paths:
                yield from self._below(child_path, child)

    def enclosing(self, path: str, name: str) -> Any:
        """Return the innermost message around the field at a path that has a field of this name.

        Raises:
            LookupError: No message around it has such a field.
        """
        for message in reversed(messages_around(self.source.config, path)):
            if name in fields_of(message):
                return message
        raise LookupError(f"no message around {path} has a field {name}")


@dataclass(eq=False)
class Checker(FieldChecker):
    """State that all rules of a pipeline config share."""

    source: ConfigSource

    @property
    def config(self) -> EasyRecConfig:
        return self.source.config


def children(path: str, message: Message) -> Iterator[tuple[str, Message]]:
    """Iterate over the messages in the fields of a message, except maps, with their paths."""
    for descriptor, value in message.ListFields():
        child_path = join(path, descriptor.name)
        if not is_message(descriptor) or is_map(descriptor):
            continue
        if descriptor.is_repeated:
            yield from repeated(child_path, value)
        else:
            yield child_path, value


def repeated(path: str, values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Iterate over the elements of a repeated field with their paths."""
    return ((f"{path}[{index}]", value) for index, value in enumerate(values))


def check_unique(checker: FieldChecker, kind: str, names: Iterable[tuple[str, str]]) -> None:
    """Report names that occur more than once.

    Args:
        checker: receives the problems.
        kind: "feature", "group", ... for the message.
        names: path and name of each.
    """
    first_path: dict[str, str] = {}
    for path, name in names:
        if name in first_path:
            line = checker.source.locations.get(first_path[name], (0, 0))[0]
            place = f"at line {line}" if line else f"at {first_path[name]}"
            checker.error(path, f'"{name}" is already the name of another {kind}, {place}')
        first_path.setdefault(name, path)
