"""Errors that a user can cause.

TzrecError                  exit status 1
 +- UsageError              an invalid command line; exit status 2
 +- ConfigError             a config with problems; lists all of them; exit status 2
 +- DataError               input data that cannot be read or encoded; names file, row and column
 +- CheckpointError         a checkpoint that is missing, incomplete or does not match the model
 +- PackageError            an exported package that is missing, damaged or too new
 +- StoreError              a store such as S3 that refuses a request or does not answer; names the URL
 +- TrainingError           a run that cannot continue (NaN loss, a lost rank)
 +- SetupError              a broken installation; the message contains the fix
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

# control characters, of terminals too, line separators of Unicode, marks that reorder text, and bytes that are no text
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NEWLINE = re.compile(r"\n(?=\S)")
_MAX_LENGTH = 1000


class TzrecError(Exception):
    """Base of all errors that a user can cause. The message gives the value received, the valid ones and the change."""

    exit_code = 1


class UsageError(TzrecError):
    """An invalid command line."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One problem of a config.

    Attributes:
        field: path of the field, e.g. `feature_configs[4].id_feature.expression`; empty for the file as a whole.
        message: the value received and the valid ones.
        location: `file:line:column`; empty if the config was not read from a text file.
    """

    field: str
    message: str
    location: str = ""

    def __str__(self) -> str:
        head = f"{self.location:<16} " if self.location else ""
        parts = [self.field, self.message] if self.field else [self.message]
        text = head + ": ".join(map(shorten_middle, parts))
        return escape_controls(text)


class ConfigError(TzrecError):
    """A config with problems; lists all of them.

    Attributes:
        problems: in the order of their messages.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = [str(problem) for problem in self.problems]
        lines.append(f"{count} problem{'s' if count != 1 else ''}. Nothing was started.")
        super().__init__("\n".join(lines))


class DataError(TzrecError):
    """Input data that cannot be read or encoded; names file, row and column."""


class CheckpointError(TzrecError):
    """A checkpoint that is missing, incomplete or does not match the model."""


class PackageError(TzrecError):
    """An exported package that is missing, damaged or too new."""


class StoreError(TzrecError):
    """A store such as S3 that refuses a request or does not answer; names the URL and what to change."""


class TrainingError(TzrecError):
    """A run that cannot continue."""


class SetupError(TzrecError):
    """A broken installation; the message contains the fix."""


def explain(error: BaseException, arguments: Mapping[str, object]) -> TzrecError | None:
    """Turn an error of the operating system into one that names the file; None for an error that is not its own.

    The readers and writers of files raise errors of their own, which say more. This is for what none of them expects:
    a directory that cannot be written to, a disk that fills up.

    Args:
        error: from anywhere below a command or a function of the API.
        arguments: of the command or the function; the one that names the file, or its directory, is named too.
    """
    if isinstance(error, MemoryError) or _NO_MEMORY in str(error):
        return TzrecError(f"there is not enough memory: {error or 'an allocation failed'}")
    if not isinstance(error, OSError) or isinstance(error, ConnectionError):
        return None
    names = [
        os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes, PathLike))
    ]
    text = error.strerror or str(error)
    if error.errno in _FULL:  # Arrow's text hides the reason behind others
        text = f"{os.strerror(error.errno)}; free some space there, then run the same command again"
    reason = f"{' -> '.join(names)}: {text}" if names else str(error)
    paths = [(argument, path.strip()) for argument, value in arguments.items() for path in str(value).split(",")]
    for argument, path in sorted(paths, key=lambda item: -len(item[1])):  # the nearest of several directories
        if any(_is_beside(name, path) for name in names or _QUOTED.findall(reason)):
            return TzrecError(f"{argument} {path}: {reason}")
    return TzrecError(reason if names else f"the operating system refused a file operation: {reason}")


def _is_beside(name: str, path: str) -> bool:
    """Return True if a file is at or below a path, beside it, or a directory above it."""
    if not path:
        return False
    directory = os.path.dirname(path)
    return (
        name.startswith(path) or path.startswith(f"{name}/") or (directory != "" and os.path.dirname(name) == directory)
    )


_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Codes of a disk, or of a quota, without space."""
_QUOTED = re.compile(r"'([^']+)'")
_NO_MEMORY = "can't allocate memory"
"""Part of the message of torch's allocator, which raises a RuntimeError."""


def escape_controls(text: str) -> str:
    """Write control characters and newlines of a text as `\\x1b` and `\\n`, so that it stays within its line."""
    return _CONTROL.sub(_escape, text).replace("\n", "\\n")


def indent_lines(text: str) -> str:
    """Escape the control characters of a message and indent its further lines, so that none looks like another one."""
    return _NEWLINE.sub("\n    ", _CONTROL.sub(_escape, text))


def shorten_middle(text: str) -> str:
    """Replace the middle of a text of more than 1,000 characters by their number."""
    left_out = len(text) - _MAX_LENGTH
    if left_out <= 0:
        return text
    half = _MAX_LENGTH // 2
    return f"{text[:half]} ... ({left_out:,} characters left out) ... {text[-half:]}"


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "backslashreplace").decode()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that is not blank; its class if there is none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def is_encodable(text: str) -> bool:
    """Return True if a text can be written as UTF-8 and handed to the operating system: no lone surrogates, no NUL."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)
