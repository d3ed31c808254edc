"""The rules: what a column's numbers say about tables, edges and normalizers. docs/fit.md lists them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tzrec.profile.column import ColumnStats

MOST_WORDS = 100
"""A column with at most so many different values gets a vocabulary, in which none shares its row."""
ROWS_PER_VALUE = 5
FULL_SIZE = 1_000_000
"""Tables up to this size have ROWS_PER_VALUE rows for each value; larger ones may have as few as one."""
BUCKETS = 16
_FINE = 1000
SKEWED = 0.5
TAILS = 4.0
_SHARES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class FieldChoice:
    """A value for a field, and why this one."""

    value: object
    why: str


def words(stats: ColumnStats) -> FieldChoice:
    """All values, the most frequent first."""
    found = [each.value for each in stats.top(stats.distinct)]
    return FieldChoice(found, f"{len(found)} different values, at most {MOST_WORDS}: each gets a row of its own")


def has_few_values(stats: ColumnStats) -> bool:
    """Whether a vocabulary can list all values."""
    return stats.is_exact and 0 < stats.distinct <= MOST_WORDS


def hash_size(stats: ColumnStats) -> FieldChoice:
    """Rows for hashed values, rounded up to two digits.

    EasyRec's guide to features advises 5 to 10 times the number of values, and less for very many of them. With n
    values in m rows a share of 1 - exp(-n / m) of the values meets another one in its row: 18 % at 5 rows each.
    """
    n = stats.distinct
    rows = _rounded(max(min(ROWS_PER_VALUE * n, FULL_SIZE), n, 1))
    share = 100 * -math.expm1(-n / rows)
    return FieldChoice(rows, f"{counted(stats)} different values; {share:.0f} % of them share a row with another one")


def identity_size(stats: ColumnStats) -> FieldChoice:
    """Rows for values that are ids already."""
    return FieldChoice(int(stats.moments.most) + 1, f"ids from {stats.moments.least:.0f} to {stats.moments.most:.0f}")


def width(values: int) -> FieldChoice:
    """Width of an embedding: 8 + values^(1/4), as EasyRec's guide to features has it, up to a multiple of 4."""
    exact = 8 + values**0.25
    return FieldChoice(4 * math.ceil(exact / 4), f"8 + {values:,}^(1/4) = {exact:.1f}, up to a multiple of 4")


def edges(stats: ColumnStats, buckets: int = BUCKETS) -> FieldChoice | None:
    """Edges between buckets of equal frequency; fewer where frequent values fill several. None for a constant.

    Few values get a bucket each. Where one value fills nearly all buckets, the others are shared out among the rest.
    """
    if stats.is_exact and stats.is_numeric and stats.distinct <= buckets:
        found = [float(each.value) for each in stats.top(buckets)]
    else:
        found = _above(stats.quantiles([at / buckets for at in range(1, buckets)]), stats)
        if not found:
            fine = _above(stats.quantiles([at / _FINE for at in range(1, _FINE + 1)]), stats)
            found = [fine[len(fine) * at // buckets] for at in range(buckets - 1)] if fine else []
    kept = _above(found, stats)
    return FieldChoice(kept, f"{len(kept) + 1} buckets of equal frequency") if kept else None


def _above(values: Sequence[float], stats: ColumnStats) -> list[float]:
    """Different ones, as a config writes them, above the least number: nothing lies below that."""
    rounded = {np.float32(f"{value:.6g}"): float(f"{value:.6g}") for value in values if value > stats.moments.least}
    return sorted(rounded.values())


def normalizer(stats: ColumnStats) -> FieldChoice | None:
    """log10 for long tails to the right, minmax for short ones on both sides, zscore for others; None needs none."""
    moments = stats.moments
    if moments.least == moments.most or (moments.least >= 0 and moments.most <= 1):
        return None
    skew, of_logs = skewness(stats)
    if moments.least >= 0 and skew >= SKEWED and abs(of_logs) < skew:
        return FieldChoice(constants("log10", stats), f"quantile skewness {skew:.2f}, of the logarithms {of_logs:.2f}")
    deviations = (moments.most - moments.least) / moments.deviation
    if deviations <= TAILS:
        return FieldChoice(constants("minmax", stats), f"all values within {deviations:.1f} standard deviations")
    return FieldChoice(constants("zscore", stats), f"quantile skewness {skew:.2f}")


def constants(method: str, stats: ColumnStats) -> str:
    """A normalizer of one method with the constants of a column."""
    moments = stats.moments
    if method == "zscore":
        return f"method=zscore,mean={moments.mean:.6g},standard_deviation={moments.deviation:.6g}"
    if method == "minmax":
        return f"method=minmax,min={moments.least:.6g},max={moments.most:.6g}"
    if moments.least > 0:
        return "method=log10"
    # 0 has no logarithm; it becomes that of the least number above it
    return f"method=log10,threshold=0,default={math.log10(moments.least_positive):.6g}"


def skewness(stats: ColumnStats) -> tuple[float, float]:
    """(q95 + q5 - 2 q50) / (q95 - q5), from -1 to 1, 0 for what is symmetric; of the numbers and of their logarithms.

    Groeneveld and Meeden, "Measuring skewness and kurtosis", 1984. 0 counts as the least number above it.
    """
    quantiles = np.array(stats.quantiles(_SHARES))
    return _skewness(quantiles), _skewness(np.log10(np.maximum(quantiles, stats.moments.least_positive)))


def counted(stats: ColumnStats) -> str:
    """The number of different values, marked where it is an estimate."""
    return f"{'' if stats.is_exact else 'about '}{stats.distinct:,}"


def _skewness(quantiles: np.ndarray) -> float:
    low, middle, high = quantiles
    return float((high + low - 2 * middle) / (high - low)) if high > low else 0.0


def _rounded(rows: int) -> int:
    step = 10 ** max(len(str(rows)) - 2, 0)
    return -(-rows // step) * step
