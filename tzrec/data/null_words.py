"""Words that programs write for a missing value."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from tzrec.features.column_types import decode, decoded_type

_WORDS = frozenset(
    ("\\n", "null", "(null)", "<null>", "nan", "none", "nil", "na", "n/a", "#n/a", "<na>", "-", "--", "?", "undefined")
)


def is_null_word(text: str) -> bool:
    """True if a text is one of the words, in upper or lower case."""
    return text.strip().lower() in _WORDS


def null_values_hint(values: Iterable[object]) -> str:
    """Return the setting that declares the words among bad values of CSV data as missing, "" if there are none."""
    words = sorted({value for value in values if isinstance(value, str) and is_null_word(value)})
    listed = " ".join(f"null_values: {json.dumps(word)}" for word in words)
    return f"declare the words for missing values: data_config {{ {listed} }}" if words else ""


def is_text(kind: pa.DataType) -> bool:
    """True for strings of any layout."""
    return bool(decoded_type(kind) == pa.string())


def without_words(array: pa.Array, words: Collection[str]) -> pa.Array:
    """Make each of these words a null in a column of text; a column of another type stays as it is."""
    if not words or not is_text(array.type):
        return array
    text = decode(array)
    return pc.if_else(pc.is_in(text, pa.array(list(words), pa.string())), None, text)
