"""Labels that are written as text: the order of their values, and the setting that lists them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

MAX_LABEL_TEXTS = 50
"""Different texts up to which a column of text counts as a label with classes."""
_POSITIVE_WORDS = """
yes y true t 1 on ja oui si sim positive pos present success successful win won winner survived alive accept accepted
approved pass passed buy bought purchase purchased order ordered click clicked converted churn churned left attrited
exited subscribed fraud fraudulent spam malignant default defaulted sick ill abnormal anomaly attack toxic high above
over good like liked
"""
_NEGATIVE_WORDS = """
no n false f 0 off nein non nao not negative neg absent failure failed fail unsuccessful loss lost loser died dead
reject rejected denied refused none never normal benign ham legit legitimate genuine stay stayed existing active
retained healthy well low below under bad dislike disliked
"""
_POSITIVE, _NEGATIVE = frozenset(_POSITIVE_WORDS.split()), frozenset(_NEGATIVE_WORDS.split())
_NEGATION = re.compile(r"(?:not?|non|without|never|un|in|dis)[ _.-]*")


@dataclass(frozen=True)
class LabelOrder:
    """Values of a label in the order of their numbers.

    Attributes:
        values: the first one is 0.
        reason: why they are in this order.
    """

    values: Sequence[str]
    reason: str


def label_order(num_by_value: Mapping[str, int]) -> LabelOrder:
    """Order the values of a label: of two the positive one is last, by its word, else because it is rarer.

    Args:
        num_by_value: number of rows by value, two values at least.

    Example:
        >>> label_order({"yes": 90, "no": 10}).values
        ['no', 'yes']
        >>> label_order({"blue": 90, "green": 10})
        LabelOrder(values=['blue', 'green'], reason='"green" is 1, as it is rarer (10 % of the rows)')
    """
    values = sorted(num_by_value, key=_sort_key)
    if len(values) != 2:
        is_number = all(number_of(value) is not None for value in values)
        order = "in the order of their numbers" if is_number else "in alphabetical order"
        return LabelOrder(values, f"{len(values)} classes, {order}")
    first, second = values
    evidence = _evidence(second, first) - _evidence(first, second)
    if evidence:
        low, high = (first, second) if evidence > 0 else (second, first)
        return LabelOrder([low, high], f"{_quoted(high)} is 1, by its word")
    low, high = (first, second) if num_by_value[second] <= num_by_value[first] else (second, first)
    share = 100 * num_by_value[high] / max(sum(num_by_value.values()), 1)
    return LabelOrder([low, high], f"{_quoted(high)} is 1, as it is rarer ({share:.2g} % of the rows)")


def label_values_setting(name: str, values: Iterable[str]) -> str:
    """Format the setting that lists the values of a label."""
    return f"data_config {{ label_values {{ label: {_quoted(name)} values: [{', '.join(map(_quoted, values))}] }} }}"


def text_label_advice(name: str, num_by_value: Mapping[str, int]) -> str:
    """The change that makes a column of text a label, with the values that were found.

    Args:
        name: of the column.
        num_by_value: number of rows by value; empty if they are unknown.
    """
    if not num_by_value:
        return "list its values in data_config.label_values; tzrec check shows them"
    if len(num_by_value) > MAX_LABEL_TEXTS:
        few = ", ".join(map(_quoted, sorted(num_by_value)[:3]))
        return (
            f"it has more than {MAX_LABEL_TEXTS} different texts (e.g. {few}), and a label is a number or one of a few "
            "classes: write numbers, or correct data_config.label_fields"
        )
    if len(num_by_value) == 1:
        return f"it is always {_quoted(next(iter(num_by_value)))}, and there is nothing to learn"
    order = label_order(num_by_value)
    advice = f"list its values in the order of their numbers: {label_values_setting(name, order.values)}"
    return advice if len(order.values) > 2 else f"{advice} ({order.reason})"


def variants(values: Collection[str]) -> list[list[str]]:
    """Groups of values that differ only in upper and lower case or in spaces around them."""
    groups: dict[str, list[str]] = {}
    for value in sorted(values):
        groups.setdefault(value.strip().lower(), []).append(value)
    return [group for group in groups.values() if len(group) > 1]


def number_of(text: str) -> float | None:
    """The finite number that a text is, None for other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _sort_key(value: str) -> tuple[float, str, str]:
    """Numbers by their size, then text; case counts last."""
    number = number_of(value)
    return (math.inf if number is None else number, value.strip().lower(), value)


def _evidence(value: str, other: str) -> int:
    """1 for a value whose word is positive beside another one, -1 for a negative one, 0 for others."""
    word, other_word = _word(value), _word(other)
    number, other_number = number_of(word), number_of(other_word)
    if number is not None and other_number is not None:
        return 1 if number > other_number else -1
    if word.startswith("<") or other_word.startswith(">"):
        return -1
    if word.startswith(">") or other_word.startswith("<"):
        return 1
    if _NEGATION.sub("", word, count=1) == other_word or _is_word_of(word, _NEGATIVE):
        return -1
    return 1 if _is_word_of(word, _POSITIVE) else 0


def _is_word_of(text: str, words: frozenset[str]) -> bool:
    """True for one of the words, alone or in a text of several words, such as "existing customer"."""
    return not words.isdisjoint(re.split(r"[ _.:,-]+", text))


def _word(value: str) -> str:
    return value.strip().rstrip(".!").lower()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
