"""Frames that cannot be converted: one class of error, which names the column and a fix."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from tzrec.errors import DataError
from tzrec.serving.frames import as_table


class FrameOfLists:
    """Frame of Python lists, as pandas: it converts its columns when it is read, or fails."""

    def __init__(self, columns: dict[str, list[Any]], dtypes: dict[str, str] | None = None) -> None:
        self._columns, self._dtypes = columns, dtypes or {}

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, list):
            return FrameOfLists({name: self._columns[name] for name in key}, self._dtypes)
        return SimpleNamespace(dtype=self._dtypes.get(key, "object"))

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        for name, dtype in self._dtypes.items():
            if name in self._columns and dtype.startswith("Sparse"):
                raise TypeError("Sparse pandas data not supported")
        return pa.table(self._columns).__arrow_c_stream__(requested_schema)


FRAME = FrameOfLists({"a": [1, 2], "b": [1, "2"], "c": [1j, 2j]}, {"c": "complex128"})


def test_as_table_converts_only_the_columns_that_are_asked_for() -> None:
    assert as_table(FRAME, ["a"]) == pa.table({"a": [1, 2]})


@pytest.mark.parametrize(
    ("frame", "columns", "message"),
    [
        (FRAME, ["a", "b"], r"""^column "b" \(object\) .*Could not convert '2'.*frame\["b"\]\.astype\(str\)$"""),
        (FRAME, ["c"], r'^column "c" \(complex128\) .*give its real and imaginary part as two columns$'),
        (FRAME, ["b", "c"], r'^column "b" .*; column "c" '),
        (FrameOfLists({"a": [0]}, {"a": "Sparse[float]"}), ["a"], r'column "a" .*frame\["a"\]\.sparse\.to_dense\(\)$'),
        (FRAME, ["a", "d"], r"^no column d; the table has a, b, c$"),
        (pa.table([[1], [2]], ["a", "a"]), ["a"], r'^the table has 2 columns "a"; rename or drop all but one$'),
        (pa.chunked_array([[1]]), ["a"], r"^ChunkedArray cannot be converted to an Arrow table: .*not a single column"),
        ({"a": [1]}, ["a"], r"^dict is not a table; .*pyarrow\.table\(columns\)"),
        (None, ["a"], r"^NoneType is not a table"),
    ],
)
def test_frame_that_is_not_a_table_is_an_error_with_its_fix(frame: Any, columns: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_table(frame, columns)


def test_repeated_column_that_is_not_read_is_no_trouble() -> None:
    assert as_table(pa.table([[1], [2], [3]], ["a", "a", "b"]), ["b"]) == pa.table({"b": [3]})
