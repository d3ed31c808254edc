"""The kernels once more, in plain Python: what they have to equal."""

from __future__ import annotations

import math
import re

from tests.features.reference.hashes import farm64, murmur64a


def split(rows: list[str | None], separator: str, limit: int) -> list[list[bytes]]:
    """Non-empty parts of each row."""
    out = []
    for row in rows:
        parts = (row or "").split(separator) if separator else [row or ""]
        parts = [part.encode() for part in parts if part]
        out.append(parts[:limit] if limit else parts)
    return out


def split_elements(rows: list[str | None], delimiter: str, limit: int, fill: bool) -> list[list[str]]:
    """All pieces of each row, the empty ones too."""
    return [row.split(delimiter)[: limit or None] if row else [""] * fill for row in rows]


def hash_text(words: list[bytes], size: int) -> list[int]:
    return [murmur64a(word) % size for word in words]


def hash_integers(values: list[int], size: int) -> list[int]:
    return [murmur64a(str(value).encode()) % size for value in values]


def parse_integers(words: list[bytes]) -> list[int | None]:
    out: list[int | None] = []
    for word in words:
        match = re.fullmatch(rb" *([+-]?[0-9]+)(\.0*)? *", word)
        value = int(match[1]) if match else None
        out.append(value if value is not None and -(2**63) <= value < 2**63 else None)
    return out


def parse_floats(words: list[bytes]) -> list[float | None]:
    out: list[float | None] = []
    for word in words:
        match = re.fullmatch(rb" *([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?) *", word)
        value = float(match[1]) if match else math.nan
        out.append(value if math.isfinite(value) else None)
    return out


def find_last(words: list[bytes], symbol: bytes) -> list[int]:
    """Distance of the last symbol from the start of each word, the word's length where there is none."""
    return [word.rfind(symbol) if symbol in word else len(word) for word in words]


def cross(left: list[list[bytes]], right: list[list[bytes]]) -> list[list[bytes]]:
    """Every pair of each row's words, joined."""
    return [[one + b"_" + other for one in ones for other in others] for ones, others in zip(left, right, strict=True)]


def find(pairs: list[list[tuple[bytes, bytes]]], words: list[list[bytes]], wildcard: bytes) -> list[list[bytes]]:
    """What each row's words find in its pairs; of equal keys the first counts, but for the wildcard."""
    out = []
    for held, sought in zip(pairs, words, strict=True):
        first = dict(reversed(held))
        found: list[bytes] = []
        for word in sought:
            if wildcard and word == wildcard:
                found += [value for _, value in held]
            elif word in first:
                found.append(first[word])
        out.append(found)
    return out


def cut(word: bytes, symbol: bytes) -> tuple[bytes, bytes] | None:
    """Key and value before and behind the first symbol, None where one of them is empty."""
    key, _, value = word.partition(symbol)
    return (key, value) if key and value else None


def farm_hash(words: list[bytes], size: int) -> list[int]:
    return [farm64(word) % size for word in words]
