"""The path language of --edit_config_json, as text.

train_config.num_steps                                     a field
feature_configs[3]   [-1]   [0:4]   [:]                    one element, a range, all
feature_configs[raw_feature.feature_name=price]            the elements for which a comparison holds: = < > <= >=
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STEP = re.compile(r"(\w+)(?:\[(.*)\])?\Z", re.DOTALL)
_RANGE = re.compile(r"\s*(-?\d*)\s*:\s*(-?\d*)\s*\Z")
_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|=|<|>)\s*(.*?)\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """Elements whose nested field compares so with a value."""

    names: tuple[str, ...]
    comparison: str
    value: str


@dataclass(frozen=True)
class PathSegment:
    """One field of a path, and which of its elements."""

    name: str
    select: slice | int | Condition | None = None


def parse_path(text: str) -> list[PathSegment]:
    """Raises ValueError with what is wrong with the path."""
    return [_step(part) for part in split(text, ".")]


def split(text: str, separator: str) -> list[str]:
    """Split at a separator that stands outside of brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == separator and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()]


def _step(text: str) -> PathSegment:
    match = _STEP.match(text)
    if match is None:
        raise ValueError(f'"{text}" is not a field, field[0], field[0:2], field[:] or field[nested.field=value]')
    name, select = match.groups()
    return PathSegment(name) if select is None else PathSegment(name, _select(select))


def _select(text: str) -> slice | int | Condition:
    if re.fullmatch(r"\s*-?\d+\s*", text):
        return int(text)
    limits = _RANGE.match(text)
    if limits is not None:
        first, last = (int(each) if each else None for each in limits.groups())
        return slice(first, last)
    condition = _CONDITION.match(text)
    if condition is None:
        raise ValueError(f'"[{text}]" is not an index, a range or a comparison with =, <, >, <= or >=')
    names, comparison, value = condition.groups()
    return Condition(tuple(names.split(".")), comparison, _unquote(value))


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0] else text
