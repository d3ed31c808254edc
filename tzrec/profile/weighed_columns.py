"""Readings of columns, changed by what the labels say of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from tzrec.profile.column_reading import ColumnReading, as_flag, describe
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.label_evidence import LabelEvidence, Leak
from tzrec.profile.quantities import Kind
from tzrec.profile.row_sample import RowSample
from tzrec.profile.rules import FEW_ROWS, has_repeats

_FEW_VALUES = 10
"""Values up to which an embedding of each says all that their order can."""
_MANY_DUPLICATES = 0.01


def weigh(
    readings: Sequence[ColumnReading],
    evidence: LabelEvidence,
    kind_by_column: Mapping[str, Kind],
    indicator_by_label: Mapping[str, str],
    kept: Collection[str],
) -> None:
    """Leave out columns that tell a label by themselves, and judge whole numbers by their order, in place.

    Args:
        readings: of all columns.
        evidence: of the labels.
        kind_by_column: kinds that the user gives, which evidence does not change.
        indicator_by_label: of labels that are missing only where another one is 0, see `LabelPairs`.
        kept: columns that are features even if they tell a label.
    """
    leaks: list[tuple[ColumnReading, Leak, tuple[str, str]]] = []
    for reading in readings:
        if reading.is_label and reading.stats is not None:
            reading.evidence = _describe_label(reading.stats, indicator_by_label.get(reading.name, ""))
        if reading.is_label or reading.is_left_out or reading.stats is None:
            continue
        if reading.name not in kind_by_column:
            _weigh_order(reading, reading.stats, evidence)
            _add_values(reading, reading.stats)
        leak = evidence.leak(reading.name)
        if leak and reading.name in kept:
            reading.evidence = f"{reading.evidence}; {_describe_leak(leak)}, and kept"
        elif leak:
            leaks.append((reading, leak, (reading.evidence, reading.override)))
            reading.leave_out(f"{_describe_leak(leak)}: does it exist at prediction time?", f"--keep {reading.name}")
    if leaks and all(reading.is_label or reading.is_left_out for reading in readings):
        for reading, leak, (text, override) in leaks:  # nothing would be left to learn from
            reading.is_left_out, reading.evidence, reading.override = False, text, override
            reading.evidence = f"{text}; {_describe_leak(leak)}: does it exist at prediction time?"


def sample_notes(sample: RowSample, evidence: LabelEvidence) -> Iterator[str]:
    """Yield what a user should know about the rows: that many are equal."""
    num = evidence.num_duplicates()
    if num > _MANY_DUPLICATES * sample.num_kept:
        rows = f"{sample.num_kept:,} rows{'' if sample.is_all else ' of a sample'}"
        yield (
            f"{num:,} of {rows} are equal to an earlier one, labels included; if they were written twice, remove them: "
            "equal rows on both sides of a split make metrics look too good"
        )


def _weigh_order(reading: ColumnReading, stats: ColumnStats, evidence: LabelEvidence) -> None:
    """Let whole numbers be both a name and a quantity where their kind and the labels disagree."""
    if not _is_whole_number(stats) or stats.distinct <= _FEW_VALUES:
        return
    if reading.kind not in (Kind.NAME, Kind.QUANTITY, Kind.EITHER):
        return
    order = evidence.order(reading.name)
    if order is None:
        return
    text = f"order {'matters' if order.matters else 'says nothing'} (rank {order.rank:.2f})"
    kind = reading.kind
    if order.matters:
        kind = Kind.QUANTITY if kind == Kind.EITHER else Kind.EITHER if kind == Kind.NAME else kind
    elif order.values_matter:
        kind = Kind.NAME if kind == Kind.EITHER else Kind.EITHER if kind == Kind.QUANTITY else kind
    reading.evidence = f"{text}; {reading.evidence}" if reading.evidence else text
    if kind != reading.kind:
        other = Kind.NAME if kind == Kind.QUANTITY else Kind.QUANTITY
        reading.kind, reading.override = kind, as_flag(reading.name, other)


def _is_whole_number(stats: ColumnStats) -> bool:
    return stats.is_numeric and stats.is_whole and stats.widths[1] == 1


def _add_values(reading: ColumnReading, stats: ColumnStats) -> None:
    """Let whole numbers of many rows be names as well, where values repeat: a gain of 7,688 may say more than 7,687."""
    if reading.kind != Kind.QUANTITY or not _is_whole_number(stats):
        return
    if stats.rows <= FEW_ROWS or not has_repeats(stats):
        return
    reading.kind, reading.override = Kind.EITHER, as_flag(reading.name, Kind.QUANTITY)
    reading.evidence = ", ".join(filter(None, (reading.evidence, "each in many rows")))


def _describe_leak(leak: Leak) -> str:
    if leak.is_by_missing:
        return f"its gaps alone tell {leak.label} (AUC {leak.area:.3f})"
    return f"predicts {leak.label} alone (AUC {leak.area:.3f})"


def _describe_label(stats: ColumnStats, indicator: str) -> str:
    """Describe the values of a label: the share of 1, or the range, and the rows without one."""
    is_binary = stats.is_whole and stats.moments.least == 0 and stats.moments.most == 1
    text = f"1 in {100 * stats.moments.mean:.3g} % of the rows" if is_binary else describe(stats)
    if indicator:
        return f'{text}; missing only where {indicator} is 0 -> task_space_indicator_label: "{indicator}"'
    missing = f", {100 * stats.missing / max(stats.rows, 1):.2g} % missing"
    return f"{text}{missing}" if is_binary and stats.missing else text
