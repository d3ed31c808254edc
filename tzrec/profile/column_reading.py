"""ColumnReading: what a column of the data is taken as, and why; a line of the table that `tzrec init` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tzrec.features import times
from tzrec.profile.cell_shapes import ColumnShape
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.quantities import Kind, kind_of
from tzrec.profile.rules import format_distinct, has_few_values
from tzrec.profile.time_columns import TimeColumn

MIN_KEY_VALUES = 1000
KEY_SHARE = 0.9
"""A column of at least MIN_KEY_VALUES values of which more than this share are distinct is a key of the rows."""
MIN_SHARED, SHARED = 10, 0.5
"""Lists share the values of a column if they have at least so many, and so large a share of them is in the column."""


@dataclass
class ColumnReading:
    """Reading of one column, from which `written_features` makes features.

    Attributes:
        name: of the column.
        kind: what its values are; that of a label or of a column that no feature can read has no meaning.
        evidence: why it is taken as that.
        override: flag that takes it as something else; "" if there is none.
        stats: of its values; None if no feature can read it.
        shape: of its cells.
        time: what its times are counted to; None unless the kind is a time.
        shares_with: column of ids that occur among the values of this one; "" if there is none.
        is_label: true if a task predicts it.
        is_left_out: true if no feature reads it; `evidence` says why.
    """

    name: str
    kind: Kind
    evidence: str
    override: str = ""
    stats: ColumnStats | None = None
    shape: ColumnShape = field(default_factory=ColumnShape)
    time: TimeColumn | None = None
    shares_with: str = ""
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


def given_shape(shape: ColumnShape, kind: Kind | None) -> ColumnShape:
    """The shape of cells under a kind that the user gives: other separators and times than those do not count."""
    if kind is None or kind == Kind.SKIPPED:
        return shape
    is_list_type = shape.is_list and not shape.separator
    if kind in (Kind.VALUES, Kind.SEQUENCE):
        return replace(shape, is_list=True, is_weighted=False, time=None)
    if kind == Kind.WEIGHTS:
        return replace(shape, is_list=True, is_weighted=True, time=None)
    if kind == Kind.TIME:
        return shape
    keeps_list = is_list_type or kind == Kind.QUANTITY
    return ColumnShape(
        separator=shape.separator if keeps_list else "",
        is_list=shape.is_list and keeps_list,
        is_nested=shape.is_nested,
        is_weighted=shape.is_weighted and is_list_type,
        is_number=kind in (Kind.QUANTITY, Kind.EITHER),
        is_text=kind == Kind.TEXT,
        values=shape.values,
    )


def read_column(
    stats: ColumnStats,
    given: Kind | None = None,
    shape: ColumnShape | None = None,
    time: TimeColumn | None = None,
    missing: str = "",
) -> ColumnReading:
    """Tell by its statistics and the shape of its cells what a column is.

    Args:
        stats: of a column that is no label.
        given: kind that the user gives; None to find it.
        shape: of its cells, under the kind that the user gives.
        time: where the cells are times.
        missing: words for missing values, with their share; "" if there are none.
    """
    shape = shape or ColumnShape()
    kind, evidence, override = _judge(stats, shape, time)
    if given:
        kind, override = given, None
        evidence = f"--as says so; {evidence if given in (Kind.TIME, Kind.VALUES, Kind.SEQUENCE) else describe(stats)}"
    evidence = ", ".join(filter(None, (missing, evidence, shape.note)))
    flag = as_flag(stats.name, override) if override else ""
    reading = ColumnReading(stats.name, kind, evidence, flag, stats, shape, time if kind == Kind.TIME else None)
    if reason := _exclusion_reason(stats, shape, kind, reading.time):
        reading.leave_out(reason, reading.override if kind != Kind.SKIPPED else "")
    return reading


def _judge(stats: ColumnStats, shape: ColumnShape, time: TimeColumn | None) -> tuple[Kind, str, Kind | None]:
    """Kind of a column, the evidence, and the kind that it might have as well."""
    if time is not None:
        return Kind.TIME, _time_evidence(time), Kind.QUANTITY if time.shape.is_number else Kind.SKIPPED
    if shape.is_weighted:
        return Kind.WEIGHTS, _list_evidence(stats, shape), Kind.NAME if shape.separator else None
    if shape.is_nested:
        return Kind.SEQUENCE, f"{_list_evidence(stats, shape)}; the values of an element are pooled", None
    if shape.is_list:
        least, most = stats.widths
        is_vector = stats.is_numeric and not stats.is_whole and least == most > 1
        kind = Kind.QUANTITY if is_vector else Kind.VALUES
        return kind, _list_evidence(stats, shape), Kind.NAME if shape.separator else None
    if shape.is_number and not stats.is_numeric and stats.numbers:
        share = 100 * (1 - stats.numbers / stats.values)
        return Kind.QUANTITY, f"numbers but for {share:.2g} % words, {describe(stats)}", Kind.NAME
    if shape.is_text:
        advice = "hashed as a whole; a tokenize_feature with a vocabulary file reads its words"
        return Kind.TEXT, f"{format_distinct(stats)} texts of several words, {advice}", None
    numbers_kind = kind_of(stats)
    if not numbers_kind.evidence:
        return numbers_kind.kind, describe(stats), None
    evidence = f"{numbers_kind.evidence}; {describe(stats)}"
    return numbers_kind.kind, evidence, Kind.NAME if numbers_kind.kind == Kind.QUANTITY else Kind.QUANTITY


def label_reading(stats: ColumnStats) -> ColumnReading:
    """Reading of a column that is predicted."""
    return ColumnReading(stats.name, Kind.QUANTITY, describe(stats), stats=stats, is_label=True)


def link_shared_values(readings: Sequence[ColumnReading]) -> None:
    """Find the column of ids whose values the lists of another one hold; such lists are sequences."""
    ids = [item for item in readings if item.kind == Kind.NAME and not (item.is_label or item.is_left_out)]
    for reading in readings:
        if reading.kind not in (Kind.VALUES, Kind.SEQUENCE) or reading.is_left_out:
            continue
        values = reading.shape.values
        shares = {item.name: len(values & item.shape.values) / max(len(values), 1) for item in ids}
        best = max(shares, key=lambda name: shares[name], default="")
        if len(values) < MIN_SHARED or not best or shares[best] < SHARED:
            continue
        reading.shares_with = best
        is_given = reading.evidence.startswith("--as")
        if not is_given:
            reading.kind, reading.override = Kind.SEQUENCE, as_flag(reading.name, Kind.VALUES)
        reading.evidence += f", shares its values with {best}"


def as_flag(column: str, kind: Kind) -> str:
    """Format the flag that gives the kind of a column."""
    text = f"{column}={kind.value}"
    return f"--as {text}" if text.replace("_", "").replace("=", "").isalnum() else f"--as {json.dumps(text)}"


def describe(stats: ColumnStats) -> str:
    """Describe the values of a column in a few words."""
    parts = [f"{format_distinct(stats)} value{'s' if stats.distinct != 1 else ''}"]
    if stats.widths[1] > 1:
        parts.append(_widths(stats))
    if stats.is_numeric:
        parts.append(f"{stats.moments.least:g} to {stats.moments.most:g}")
    if stats.missing:
        parts.append(f"{100 * stats.missing / stats.rows:.2g} % missing")
    return ", ".join(parts)


def _widths(stats: ColumnStats) -> str:
    least, most = stats.widths
    least = 0 if stats.missing else least
    return f"{least} to {most} in a row" if least < most else f"{most} in each row"


def _list_evidence(stats: ColumnStats, shape: ColumnShape) -> str:
    one = [f"{letter}:1" if shape.is_weighted else letter for letter in "abc"]
    written = f'"{shape.separator.join(one)}"' if shape.separator else f"{stats.kind}"
    written = written if shape.separator.isprintable() else f"split at {shape.separator!r}"
    return f"{written}, {_widths(stats)}, {format_distinct(stats)} different"


def _time_evidence(time: TimeColumn) -> str:
    parts = [] if time.is_row_time else [f"days before {time.row_time}" if time.has_row_time else "days"]
    form = f" as {time.shape.time_format}" if time.shape.time_format not in ("", times.ISO) else ""
    is_row = ", the time of the row" if time.is_row_time else ""
    return f"{time.shape.describe()}{form}{is_row} -> {', '.join([*parts, *time.parts])}"


def _exclusion_reason(stats: ColumnStats, shape: ColumnShape, kind: Kind, time: TimeColumn | None) -> str:
    """Reason to create no feature for a column, "" if there is none."""
    if kind == Kind.SKIPPED:
        return "--as says so"
    if not stats.name:
        return "it has no name that an expression could say"
    if ":" in stats.name:
        return "an expression cannot contain the colon of its name; rename it"
    if not stats.values:
        return "it holds no values"
    if stats.distinct == 1 and time is not None and time.has_row_time:
        return f"it is always {stats.moments.least:g} days before {time.row_time}"
    if time is not None and time.is_row_time and not time.parts:
        return "it is the time of the row, and all rows are of one day"
    if stats.distinct == 1 and not stats.missing:
        return "it has the same value in all rows"
    if shape.is_nested and stats.is_numeric and not stats.is_whole:
        return "no feature of a first config reads lists of lists of numbers; a sequence_raw_feature can"
    if kind == Kind.QUANTITY and not stats.numbers:
        return "--as says number, and it holds none"
    if kind == Kind.QUANTITY and stats.widths[0] < stats.widths[1]:
        least, most = stats.widths
        return f"rows with {least} to {most} numbers have no fixed width; --as {stats.name}=values buckets them"
    is_key = stats.values >= MIN_KEY_VALUES and stats.distinct > KEY_SHARE * stats.values
    if is_key and kind in (Kind.NAME, Kind.TEXT, Kind.EITHER) and not shape.is_list:
        words = ", and it is text: a tokenize_feature with a vocabulary file reads its words" if shape.is_text else ""
        return f"nearly every row has its own value, {stats.distinct:,} in {stats.values:,}{words}"
    return ""
