"""Operators for the tests of custom_feature."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tzrec.features.types.custom_feature import Operator


class Scaled(Operator):
    """Compute factor * (a + b), null if one of them is."""

    def __call__(self, *columns: pa.Array) -> pa.Array:
        a, b = columns
        return pc.multiply(pc.add(a, b), self.params.get("factor", 1))


class Upper(Operator):
    def __call__(self, *columns: pa.Array) -> pa.Array:
        return pa.chunked_array([pc.utf8_upper(columns[0])])


class Parts(Operator):
    def __call__(self, *columns: pa.Array) -> pa.Array:
        return pc.split_pattern(columns[0], self.params["by"])


class Short(Operator):
    def __call__(self, *columns: pa.Array) -> pa.Array:
        return columns[0][1:]


class Pythonic(Operator):
    def __call__(self, *columns: pa.Array) -> Any:
        return columns[0].to_pylist()


class Alone(Operator):
    """Records the largest number of concurrent calls."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.inside = 0
        self.most = 0
        self.lock = threading.Lock()

    def __call__(self, *columns: pa.Array) -> pa.Array:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.02)
        with self.lock:
            self.inside -= 1
        return columns[0]


class NoOperator:
    pass
