"""EditDistance: number of edits between two texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import Int64Array
from tzrec.features.text.spans import text_buffers
from tzrec.features.types.custom_feature import Operator

ENCODINGS = {"latin": 1, "latin1": 1, "latin-1": 1, "utf-8": 4, "utf8": 4}
"""Largest number of bytes of a character by encoding."""


class EditDistance(Operator):
    """Levenshtein distance of two texts: the least number of inserted, deleted and replaced characters.

    A character is one byte, or with `encoding: "utf-8"` one code point. Null if a text is missing.

    Args:
        params: `encoding`, "latin" or "utf-8".
    """

    is_thread_safe = True

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        encoding = str(params.get("encoding", "latin")).lower()
        if encoding not in ENCODINGS:
            message = f'encoding "{encoding}" is not one of {", ".join(ENCODINGS)}'
            raise ConfigError([Problem("operator_params", message)])
        self._counts_bytes = ENCODINGS[encoding] == 1

    def bind(self, names: tuple[str, ...]) -> None:
        """Refuse another number of inputs than two."""
        if len(names) != 2:
            raise ConfigError([Problem("expression", f"{len(names)} inputs; EditDistance compares two texts")])

    def __call__(self, *columns: pa.Array) -> pa.Array:
        from tzrec.features.kernels import text

        texts = [column.cast(pa.large_string()) for column in columns]
        characters = [self._characters(array) for array in texts]
        distances = text.edit_distances(*characters[0], *characters[1])
        is_null = [array.is_null().to_numpy(zero_copy_only=False) for array in texts]
        return pa.array(distances, mask=is_null[0] | is_null[1])

    def _characters(self, texts: pa.Array) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Characters of all rows as numbers, and start and end of each row in them."""
        data, starts, ends, _ = text_buffers(texts)
        if self._counts_bytes:
            return data.astype(np.int64), starts, ends
        is_first = np.bitwise_and(data, 0xC0) != 0x80  # bytes that begin a character
        before = np.concatenate([[0], np.cumsum(is_first)])
        points = np.frombuffer(data.tobytes().decode("utf-8", "replace").encode("utf-32-le"), np.uint32)
        return points.astype(np.int64), before[starts], before[ends]
