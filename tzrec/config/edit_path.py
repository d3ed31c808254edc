"""Paths of --edit_config_json.

train_config.num_steps                                     a field
feature_configs[3]   [-1]   [0:4]   [:]                    one element, a range, all
feature_configs[raw_feature.feature_name=price]            the elements for which a comparison holds: = < > <= >=
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SEGMENT = re.compile(r"(\w+)(?:\[(.*)\])?\Z", re.DOTALL)
_RANGE = re.compile(r"\s*(-?\d*)\s*:\s*(-?\d*)\s*\Z")
_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|=|<|>)\s*(.*)\Z", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """Selects the elements whose nested field satisfies a comparison with a value."""

    names: tuple[str, ...]
    comparison: str
    value: str


@dataclass(frozen=True)
class PathSegment:
    """Field of a path, and the selection of its elements."""

    name: str
    select: slice | int | Condition | None = None


def parse_path(text: str) -> list[PathSegment]:
    """Parse a path.

    Raises:
        ValueError: The path is not valid.
    """
    return [_segment(part) for part in split(text, ".")]


def split(text: str, separator: str) -> list[str]:
    """Split at a separator outside of brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == separator and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]


def _segment(text: str) -> PathSegment:
    match = _SEGMENT.match(text)
    if match is None:
        raise ValueError(f'"{text}" is not a field, field[0], field[0:2], field[:] or field[nested.field=value]')
    name, select = match.groups()
    return PathSegment(name) if select is None else PathSegment(name, _select(select))


def _select(text: str) -> slice | int | Condition:
    if re.fullmatch(r"\s*-?\d+\s*", text):
        return int(text)
    limits = _RANGE.match(text)
    if limits is not None:
        first, last = (int(limit) if limit else None for limit in limits.groups())
        return slice(first, last)
    condition = _CONDITION.match(text)
    if condition is None:
        raise ValueError(f'"[{text}]" is not an index, a range or a comparison with =, <, >, <= or >=')
    names, comparison, value = condition.groups()
    return Condition(tuple(names.split(".")), comparison, _unquote(value.strip()))


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0] else text
