"""ColumnReading: what a column of the data is taken as, and why; a line of the table that `tzrec init` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.quantities import Kind, kind_of
from tzrec.profile.rules import format_distinct, has_few_values

MIN_KEY_VALUES = 1000
KEY_SHARE = 0.9
"""A column of at least MIN_KEY_VALUES values of which more than this share are distinct is a key of the rows."""


@dataclass
class ColumnReading:
    """Reading of one column, from which `written_features` makes features.

    Attributes:
        name: of the column.
        kind: what its values are; that of a label or of a column that no feature can read has no meaning.
        evidence: why it is taken as that.
        override: flag that takes it as something else; "" if there is none.
        stats: of its values; None if no feature can read it.
        is_label: true if a task predicts it.
        is_left_out: true if no feature reads it; `evidence` says why.
    """

    name: str
    kind: Kind
    evidence: str
    override: str = ""
    stats: ColumnStats | None = None
    is_label: bool = False
    is_left_out: bool = False

    @property
    def taken_as(self) -> str:
        """The word for it in the table."""
        if self.is_label:
            return "label"
        if self.is_left_out:
            return "left out"
        is_id = self.kind == Kind.NAME and self.stats is not None and not has_few_values(self.stats)
        return "id" if is_id else self.kind.value

    def leave_out(self, reason: str, override: str = "") -> None:
        """Create no feature for the column."""
        self.is_left_out, self.evidence, self.override = True, reason, override


def read_column(stats: ColumnStats, kind_by_column: Mapping[str, Kind]) -> ColumnReading:
    """Tell by its statistics what a column is.

    Args:
        stats: of a column that is no label.
        kind_by_column: kinds that the user gives.
    """
    given = kind_by_column.get(stats.name)
    kind = kind_of(stats)
    reading = ColumnReading(stats.name, given or kind.kind, kind.evidence or describe(stats), stats=stats)
    if given:
        reading.evidence = f"--as says so; {format_distinct(stats)} values"
    elif kind.evidence:
        other = Kind.NAME if kind.kind == Kind.QUANTITY else Kind.QUANTITY
        reading.override = as_flag(stats.name, other)
    if reason := _exclusion_reason(stats, reading.kind):
        reading.leave_out(reason, reading.override)
    return reading


def label_reading(stats: ColumnStats) -> ColumnReading:
    """Reading of a column that is predicted."""
    return ColumnReading(stats.name, Kind.QUANTITY, describe(stats), stats=stats, is_label=True)


def as_flag(column: str, kind: Kind) -> str:
    """Format the flag that gives the kind of a column."""
    text = f"{column}={kind.value}"
    return f"--as {text}" if text.replace("_", "").replace("=", "").isalnum() else f"--as {json.dumps(text)}"


def describe(stats: ColumnStats) -> str:
    """Describe the values of a column in a few words."""
    parts = [f"{format_distinct(stats)} values"]
    if stats.widths[1] > 1:
        least, most = stats.widths
        parts.append(f"{least} to {most} in a row" if least < most else f"{most} in each row")
    if stats.is_numeric:
        parts.append(f"{stats.moments.least:g} to {stats.moments.most:g}")
    if stats.missing:
        parts.append(f"{100 * stats.missing / stats.rows:.2g} % missing")
    return ", ".join(parts)


def _exclusion_reason(stats: ColumnStats, kind: Kind) -> str:
    """Reason to create no feature for a column, "" if there is none."""
    if kind == Kind.SKIPPED:
        return "--as says so"
    if ":" in stats.name:
        return "an expression cannot contain the colon of its name; rename it"
    if not stats.values:
        return "it holds no values"
    if stats.distinct == 1 and not stats.missing:
        return "it has the same value in all rows"
    if kind == Kind.QUANTITY:
        least, most = stats.widths
        return f"rows with {least} to {most} numbers have no fixed width" if least < most else ""
    if stats.values >= MIN_KEY_VALUES and stats.distinct > KEY_SHARE * stats.values:
        return f"nearly every row has its own value, {stats.distinct:,} in {stats.values:,}"
    return ""
