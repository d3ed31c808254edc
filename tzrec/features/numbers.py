"""Elements of columns and words of the config, read as integers or finite numbers by the same rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tzrec.features.arrays import BoolArray, FloatArray, Int64Array
from tzrec.features.bad_rows import InvalidValues
from tzrec.features.jagged import Elements
from tzrec.features.text.spans import Spans

NOT_AN_INTEGER = "not an integer"
NOT_A_NUMBER = "not a number"
NOT_FINITE = "not finite"
_LARGEST = float(np.finfo(np.float32).max)


def to_integers(elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
    """Read elements as int64; whole floats are accepted, because pandas turns integers with gaps into floats."""
    if isinstance(elements, Spans):
        values, valid = elements.parse_integers()
    elif elements.dtype.kind == "f":
        # -2**63 is a float64, 2**63 - 1 is not: the next float64 above the range is 2**63 itself
        valid = (elements == np.trunc(elements)) & (elements >= -(2.0**63)) & (elements < 2.0**63)
        values = np.where(valid, elements, 0).astype(np.int64)
    else:
        return elements, []
    return values, _invalid(NOT_AN_INTEGER, ~valid)


def to_floats(elements: Elements) -> tuple[FloatArray, list[InvalidValues]]:
    """Read elements as finite numbers."""
    if isinstance(elements, Spans):
        values, valid = elements.parse_floats()
        return values, _invalid(NOT_A_NUMBER, ~valid)
    if elements.dtype.kind == "f":
        return elements, _invalid(NOT_FINITE, ~np.isfinite(elements))
    return elements, []


def to_float32(
    elements: Elements, normalize: Callable[[FloatArray], FloatArray] | None
) -> tuple[FloatArray, list[InvalidValues]]:
    """Read elements as numbers and normalize them to float32, `(N,)`."""
    values, invalid = to_floats(elements)
    with np.errstate(over="ignore"):  # a value beyond the range of float32 becomes infinite and is invalid
        numbers = (normalize(values) if normalize else values).astype(np.float32, copy=False)
    infinite = ~np.isfinite(numbers)
    for problem in invalid:
        infinite &= ~problem.mask
    return numbers, invalid + _invalid(NOT_FINITE, infinite)


def _invalid(reason: str, mask: BoolArray) -> list[InvalidValues]:
    return [InvalidValues(reason, mask)] if mask.any() else []


def parse_integer(word: str) -> int:
    """Read a single word as an integer, by the rules of `to_integers`.

    Raises:
        ValueError: it is not an integer.
    """
    digits, _, zeros = word.strip(" ").partition(".")
    has_sign = digits[:1] in ("-", "+")
    if not (digits[has_sign:].isascii() and digits[has_sign:].isdigit()) or zeros.strip("0"):
        raise ValueError(NOT_AN_INTEGER)
    return int(digits)


def parse_number(word: str) -> float:
    """Read a single word as a finite number.

    Raises:
        ValueError: it is not one.
    """
    try:
        value = float(word.replace("_", "?"))  # only Python reads 1_000 as a number
    except ValueError:
        raise ValueError(NOT_A_NUMBER) from None
    if not abs(value) <= _LARGEST:
        raise ValueError(NOT_FINITE)
    return value
