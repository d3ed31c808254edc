"""Reference of formulas and of kernels over two columns in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations, zip_longest

Row = float | list[float]


def elementwise(function: Callable[..., float], fill: float, *values: Row) -> Row:
    """Apply a function to one row: numbers and lists of one number are repeated, shorter lists are padded."""
    lists = [value for value in values if isinstance(value, list)]
    if not lists:
        return function(*values)
    longest = max(map(len, lists))
    spread = [
        [value] * longest if not isinstance(value, list) else value * longest if len(value) == 1 else value
        for value in values
    ]
    return [function(*numbers) for numbers in zip_longest(*spread, fillvalue=fill)]


def padded(fill: float, left: Sequence[float], right: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip_longest(left, right, fillvalue=fill))


def common_ratio(words: list[str], other_words: list[str]) -> float:
    return len(set(words) & set(other_words)) / len(set(words))


def is_contain(query: list[str], title: list[str]) -> float:
    rest = iter(title)
    return float(all(word in rest for word in query))


def index_of(query: list[str], title: list[str]) -> float:
    starts = [at for at in range(len(title)) if title[at : at + len(query)] == query]
    return float(starts[0]) if starts else -1.0


def min_cover(query: list[str], title: list[str]) -> float:
    pieces = [title[i:j] for i in range(len(title)) for j in range(i + 1, len(title) + 1)]
    return float(min((len(piece) for piece in pieces if set(query) <= set(piece)), default=0))


def distances(query: list[str], title: list[str]) -> tuple[float, float, float]:
    """Return minimum, maximum and mean."""
    positions = {
        word: [i for i, title_word in enumerate(title) if title_word == word] for word in set(query) & set(title)
    }
    closest = [min(abs(i - j) for i in positions[a] for j in positions[b]) for a, b in combinations(positions, 2)]
    if not closest:
        return (float(len(title) + (not positions)),) * 3
    return float(min(closest)), float(max(closest)), sum(closest) / len(closest)


OVERLAP: dict[str, Callable[[list[str], list[str]], float]] = {
    "query_common_ratio": common_ratio,
    "title_common_ratio": lambda query, title: common_ratio(title, query),
    "is_contain": is_contain,
    "is_equal": lambda query, title: float(query == title),
    "index_of": index_of,
    "proximity_min_cover": min_cover,
    "proximity_min_dist": lambda query, title: distances(query, title)[0],
    "proximity_max_dist": lambda query, title: distances(query, title)[1],
    "proximity_avg_dist": lambda query, title: distances(query, title)[2],
}


def dot(left: list[tuple[str, float]], right: list[tuple[str, float]]) -> float:
    """Sum the products of equal keys; of equal keys on one side the first counts."""
    if not left or not right:
        return math.nan
    left_weights, right_weights = (dict(reversed(side)) for side in (left, right))
    return sum(weight * right_weights[key] for key, weight in left_weights.items() if key in right_weights)


def masked(values: list[str], mask: list[bool]) -> list[str]:
    return [value for value, keep in zip(values, mask, strict=True) if keep]
