"""Everything tzrec raises at a user.

TzrecError                  exit status 1
 +- UsageError              a command line that cannot be understood; exit status 2
 +- ConfigError             a config with problems, all of them at once; exit status 2
 +- DataError               input data that cannot be read or encoded; names file, row and column
 +- CheckpointError         a checkpoint that is missing, incomplete or does not fit the model
 +- PackageError            an exported package that is missing, damaged or too new
 +- TrainingError           a run that cannot go on (NaN loss, a lost rank)
 +- SetupError              an installation that cannot work; the message holds the cure
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TzrecError(Exception):
    """Base of all errors a user can cause. The message says what was received, what is right and what to change."""

    exit_code = 1


class UsageError(TzrecError):
    """A command line that cannot be understood."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a config.

    Attributes:
        field: path of the field, e.g. `feature_configs[4].id_feature.expression`; empty for the file as a whole.
        message: what was received and what would be right.
        location: `file:line:column`, empty where the config did not come from a text file.
    """

    field: str
    message: str
    location: str = ""

    def __str__(self) -> str:
        head = f"{self.location:<16} " if self.location else ""
        return f"{head}{self.field}: {self.message}" if self.field else f"{head}{self.message}"


class ConfigError(TzrecError):
    """A config with problems, all of them at once."""

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
    """A checkpoint that is missing, incomplete or does not fit the model."""


class PackageError(TzrecError):
    """An exported package that is missing, damaged or too new."""


class TrainingError(TzrecError):
    """A run that cannot go on."""


class SetupError(TzrecError):
    """An installation that cannot work; the message holds the cure."""
