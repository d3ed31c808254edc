"""Reference of the text kernels in plain Python."""

from __future__ import annotations

import math
import re

from tests.features.reference.hashes import farm64, murmur64a


def split(rows: list[str | None], separator: str, limit: int) -> list[list[bytes]]:
    """Return the non-empty parts of each row."""
    out = []
    for row in rows:
        parts = (row or "").split(separator) if separator else [row or ""]
        parts = [part.encode() for part in parts if part]
        out.append(parts[:limit] if limit else parts)
    return out


def split_elements(rows: list[str | None], delimiter: str, limit: int, fill: bool) -> list[list[str]]:
    """Return all elements of each row, including empty ones."""
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
    """Return the position of the last symbol in each word, the word's length if there is none."""
    return [word.rfind(symbol) if symbol in word else len(word) for word in words]


def cross(left: list[list[bytes]], right: list[list[bytes]]) -> list[list[bytes]]:
    """Join every pair of each row's words."""
    rows = zip(left, right, strict=True)
    return [[a + b"_" + b for a in left_words for b in right_words] for left_words, right_words in rows]


def find_pairs(pairs: list[list[tuple[bytes, bytes]]], words: list[list[bytes]], wildcard: bytes) -> list[list[bytes]]:
    """Look up each row's words in its pairs; of equal keys the first counts, except for the wildcard."""
    out = []
    for row_pairs, row_words in zip(pairs, words, strict=True):
        first = dict(reversed(row_pairs))
        values: list[bytes] = []
        for word in row_words:
            if wildcard and word == wildcard:
                values += [value for _, value in row_pairs]
            elif word in first:
                values.append(first[word])
        out.append(values)
    return out


def split_pair(word: bytes, delimiter: bytes) -> tuple[bytes, bytes] | None:
    """Split at the first delimiter into key and value, None if one of them is empty."""
    key, _, value = word.partition(delimiter)
    return (key, value) if key and value else None


def farm_hash(words: list[bytes], size: int) -> list[int]:
    return [farm64(word) % size for word in words]
