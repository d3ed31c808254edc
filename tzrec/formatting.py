"""Short forms of counts, sizes and durations for log lines and tables."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")
_BAR_WIDTH = 10


def format_count(number: float) -> str:
    """Format a count or a rate: `980`, `36.4k`, `1.20M`."""
    if number >= 1e6:
        return f"{number / 1e6:.2f}M"
    return f"{number / 1e3:.1f}k" if number >= 1e3 else f"{number:.0f}"


def format_value(value: float, decimals: int = 4) -> str:
    """Format a metric, a score or a label, of any size: `0.7218`, `12.35`, `2,347,089`, `3.2e-05`; `nan`.

    Args:
        value: to format.
        decimals: digits behind the point of a value below 1; larger ones have fewer.
    """
    size = abs(value)
    if 0 < size < 0.1**decimals / 2:
        return f"{value:.1e}"
    return f"{value:,.{max(decimals - len(str(int(size))) + (size < 1), 0)}f}" if math.isfinite(value) else f"{value}"


def format_bytes(size: float) -> str:
    """Format a size in decimal units: `56 B`, `1.5 kB`, `396 MB`."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    digits = 1 if unit and size < 10 else 0
    return f"{size:.{digits}f} {_UNITS[unit]}"


def format_columns(lines: Sequence[Sequence[str]], right: Collection[int]) -> str:
    """Format lines of cells as a text table; the columns with the numbers `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


def format_duration(seconds: float) -> str:
    """Format seconds like a clock: `4:39`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def progress_bar(fraction: float) -> str:
    """Draw `####9     `: one # for each complete tenth, then the digit of the current one."""
    hundredths = int(fraction * _BAR_WIDTH * 10 + 1e-9)
    num_full, digit = divmod(hundredths, 10)
    return ("#" * num_full + (str(digit) if digit else "")).ljust(_BAR_WIDTH)[:_BAR_WIDTH]


def shorten(text: str, size: int = 80) -> str:
    """Cut a long text, and append the number of characters that it has: `12 monkeys... (40,021 characters)`."""
    return text if len(text) <= size else f"{text[:size]}... ({len(text):,} characters)"
