"""Rules that turn column statistics into table sizes, boundaries and normalizers; listed in docs/suggest.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tzrec.profile.column_stats import ColumnStats

MAX_VOCABULARY = 100
"""A column with at most this many distinct values gets a vocabulary, in which no two values share a row."""
ROWS_PER_VALUE = 5
FEW_ROWS = 50_000
"""Most rows of a table that a model learns by heart, and of which a tenth is too few for a steady area."""
_MIN_REPEATS = 10
FULL_SIZE = 1_000_000
"""Tables up to this size have ROWS_PER_VALUE rows for each value; larger ones may have as few as one."""
NUM_BUCKETS = 16
_FINE_BUCKETS = 1000
SKEWED = 0.5
MAX_DEVIATIONS = 4.0
_DIGITS = 6
_MOST_EDGE = 1e38
"""Edges are at most so far from 0, so that 32 bits hold them and one more on each side."""
_EXACT_DIGITS = 17
"""Digits that distinguish any two float64."""
_SHARES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Suggestion:
    """Proposed value of a config field.

    Attributes:
        value: the proposed value.
        reason: the statistics behind it.
        path: of the field; "" as long as no feature is assigned.
        old: the value in the config, None where the field is not set.
    """

    value: object
    reason: str
    path: str = ""
    old: object = None


def has_repeats(stats: ColumnStats) -> bool:
    """True if numbers repeat so often that an id does not learn rows by heart: ten values for each distinct one."""
    return stats.values >= _MIN_REPEATS * stats.distinct


def vocabulary(stats: ColumnStats) -> Suggestion:
    """All values, the most frequent first."""
    values = [item.value for item in stats.top(stats.distinct)]
    reason = f"{len(values)} distinct values, at most {MAX_VOCABULARY}: each gets a row of its own"
    return Suggestion(values, reason)


def has_few_values(stats: ColumnStats) -> bool:
    """True if a vocabulary can list all values."""
    return stats.is_exact and 0 < stats.distinct <= MAX_VOCABULARY


def hash_size(stats: ColumnStats) -> Suggestion:
    """Rows for hashed values, rounded up to two digits.

    EasyRec's guide to features advises 5 to 10 times the number of values, and less for very many of them. With n
    values in m rows a share of 1 - exp(-n / m) of the values collides with another one: 18 % at 5 rows each.
    """
    n = stats.distinct
    rows = _rounded_up(max(min(ROWS_PER_VALUE * n, FULL_SIZE), n, 1))
    share = 100 * -math.expm1(-n / rows)
    return Suggestion(rows, f"{format_distinct(stats)} distinct values; {share:.0f} % of them share a row")


def identity_size(stats: ColumnStats) -> Suggestion:
    """Rows for values that are ids already."""
    return Suggestion(int(stats.moments.most) + 1, f"ids from {stats.moments.least:.0f} to {stats.moments.most:.0f}")


def embedding_dim(values: int) -> Suggestion:
    """Embedding dimension 8 + values^(1/4), as in EasyRec's guide to features, rounded up to a multiple of 4."""
    exact = 8 + values**0.25
    return Suggestion(4 * math.ceil(exact / 4), f"8 + {values:,}^(1/4) = {exact:.1f}, rounded up to a multiple of 4")


def boundaries(stats: ColumnStats, num_buckets: int = NUM_BUCKETS) -> Suggestion | None:
    """Boundaries of buckets of equal frequency; fewer where frequent values fill several. None for a constant.

    Few values get a bucket each. Where one value fills nearly all buckets, the others share the remaining buckets.
    """
    if stats.is_exact and stats.is_numeric and stats.distinct <= num_buckets:
        candidates = [float(item.value) for item in stats.top(num_buckets)]
    else:
        candidates = _above_minimum(stats.quantiles([i / num_buckets for i in range(1, num_buckets)]), stats)
        if not candidates:
            shares = [i / _FINE_BUCKETS for i in range(1, _FINE_BUCKETS + 1)]
            fine = _above_minimum(stats.quantiles(shares), stats)
            candidates = [fine[len(fine) * i // num_buckets] for i in range(num_buckets - 1)] if fine else []
    edges = _above_minimum(candidates, stats)
    return Suggestion(edges, f"{len(edges) + 1} buckets of equal frequency") if edges else None


def edges(stats: ColumnStats, num_intervals: int = NUM_BUCKETS) -> list[float]:
    """Edges of intervals with as many rows each, from the least to the greatest number; fewer where values repeat.

    Where frequent values fill most intervals, the others share them.
    """
    if stats.is_exact and stats.is_numeric and stats.distinct <= num_intervals:
        return _increasing([float(item.value) for item in stats.top(num_intervals)], stats)
    candidates = _increasing(stats.quantiles([i / num_intervals for i in range(num_intervals + 1)]), stats)
    if len(candidates) > num_intervals // 2:
        return candidates
    fine = _increasing(stats.quantiles([i / _FINE_BUCKETS for i in range(_FINE_BUCKETS + 1)]), stats)
    last = len(fine) - 1
    return _increasing([fine[last * i // num_intervals] for i in range(num_intervals + 1)], stats)


def in_float32(value: float) -> float:
    """Return the nearest number that a field of 32 bits holds, with room for sums."""
    return min(max(value, -_MOST_EDGE), _MOST_EDGE)


def is_narrow(stats: ColumnStats) -> bool:
    """True if numbers differ so little for their size that float32 keeps fewer than 4,096 of them apart."""
    least, most = stats.moments.least, stats.moments.most
    return 0 < most - least < 2.0**-12 * max(abs(least), abs(most))


def _increasing(values: Sequence[float], stats: ColumnStats) -> list[float]:
    """Distinct values, rounded as a config writes them, and in the range of its 32 bits unless they will be scaled."""
    spread = stats.moments.most - stats.moments.least
    if is_narrow(stats):
        return sorted({float(number_text(value, spread)) for value in values})
    rounded = [float(number_text(in_float32(value), spread)) for value in values]
    return sorted({np.float32(value): value for value in rounded}.values())


def _above_minimum(values: Sequence[float], stats: ColumnStats) -> list[float]:
    """Distinct values above the minimum, rounded as a config writes them: no bucket lies below the minimum."""
    return _increasing([value for value in values if value > stats.moments.least], stats)


def normalizer(stats: ColumnStats) -> Suggestion | None:
    """log10 for a long right tail, minmax for short tails, zscore otherwise; None for values within [0, 1]."""
    moments = stats.moments
    if moments.least == moments.most or (moments.least >= 0 and moments.most <= 1):
        return None
    skew, skew_of_logs = skewness(stats)
    if moments.least >= 0 and skew >= SKEWED and abs(skew_of_logs) < skew:
        reason = f"quantile skewness {skew:.2f}, of the logarithms {skew_of_logs:.2f}"
        return Suggestion(normalizer_text("log10", stats), reason)
    deviations = (moments.most - moments.least) / moments.deviation
    if deviations <= MAX_DEVIATIONS:
        reason = f"all values within {deviations:.1f} standard deviations"
        return Suggestion(normalizer_text("minmax", stats), reason)
    return Suggestion(normalizer_text("zscore", stats), f"quantile skewness {skew:.2f}")


def normalizer_text(method: str, stats: ColumnStats) -> str:
    """Config text of a normalizer with the constants of a column."""
    moments = stats.moments
    if method == "zscore":
        mean = number_text(moments.mean, moments.deviation)
        return f"method=zscore,mean={mean},standard_deviation={moments.deviation:.{_DIGITS}g}"
    if method == "minmax":
        least, most = (number_text(bound, moments.most - moments.least) for bound in (moments.least, moments.most))
        return f"method=minmax,min={least},max={most}"
    if moments.least > 0:
        return "method=log10"
    # 0 has no logarithm; it takes that of the least positive number
    return f"method=log10,threshold=0,default={math.log10(moments.least_positive):.6g}"


def number_text(value: float, spread: float) -> str:
    """Format a constant with as many digits that differences as small as `spread` keep `_DIGITS` of them."""
    lost = _decade(value) - _decade(spread) if abs(value) > spread > 0 else 0
    return f"{value:.{min(_DIGITS + lost, _EXACT_DIGITS)}g}"


def _decade(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def skewness(stats: ColumnStats) -> tuple[float, float]:
    """(q95 + q5 - 2 q50) / (q95 - q5), from -1 to 1, 0 if symmetric; of the numbers and of their logarithms.

    Groeneveld and Meeden, "Measuring skewness and kurtosis", 1984. 0 counts as the least positive number.
    """
    quantiles = np.array(stats.quantiles(_SHARES))
    return _skewness(quantiles), _skewness(np.log10(np.maximum(quantiles, stats.moments.least_positive)))


def format_distinct(stats: ColumnStats) -> str:
    """The number of distinct values, with "about" if it is an estimate."""
    return f"{'' if stats.is_exact else 'about '}{stats.distinct:,}"


def _skewness(quantiles: np.ndarray) -> float:
    low, middle, high = quantiles
    return float((high + low - 2 * middle) / (high - low)) if high > low else 0.0


def _rounded_up(rows: int) -> int:
    unit = 10 ** max(len(str(rows)) - 2, 0)
    return -(-rows // unit) * unit
