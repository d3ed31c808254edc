"""Errors that a user can cause.

TzrecError                  exit status 1
 +- UsageError              an invalid command line; exit status 2
 +- ConfigError             a config with problems; lists all of them; exit status 2
 +- DataError               input data that cannot be read or encoded; names file, row and column
 +- CheckpointError         a checkpoint that is missing, incomplete or does not match the model
 +- PackageError            an exported package that is missing, damaged or too new
 +- TrainingError           a run that cannot continue (NaN loss, a lost rank)
 +- SetupError              a broken installation; the message contains the fix
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
        return f"{head}{self.field}: {self.message}" if self.field else f"{head}{self.message}"


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


class TrainingError(TzrecError):
    """A run that cannot continue."""


class SetupError(TzrecError):
    """A broken installation; the message contains the fix."""
