"""Frames that cannot be converted: one class of error, which names the column and a fix."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tzrec.errors import DataError
from tzrec.serving.frames import as_table, like


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


def test_like_returns_frame_of_the_library_of_another() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    table = pa.table({"probs": [0.25, 0.5], "vector": [[1.0], [2.0]]})
    of_pandas = like(table, pandas.DataFrame({"a": [1, 2]}, index=["x", "y"]))
    assert of_pandas["probs"].to_dict() == {"x": 0.25, "y": 0.5}
    assert like(table, polars.DataFrame({"a": [1, 2]}))["vector"].to_list() == [[1.0], [2.0]]
    assert all(like(table, other) is table for other in (table, {"a": [1, 2]}))


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
        ({"a": [1]}, ["b"], r"^no column b; the table has a$"),
        ({"a": "u1", "b": 3}, ["a", "b"], r'^column "a" is str; give a list with .* each row; column "b" is int; give'),
        ({"a": [1, "2"]}, ["a"], r"""^column "a" cannot be read: Could not convert '2'.*; give all values one type$"""),
        ({"a": [1], "b": [1, 2]}, ["a", "b"], r'^the columns have different numbers of values: "a" has 1, "b" has 2$'),
        (None, ["a"], r"^NoneType is not a table; .* or a dict of columns: name -> list of values$"),
    ],
)
def test_frame_that_is_not_a_table_is_an_error_with_its_fix(frame: Any, columns: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_table(frame, columns)


def test_as_table_of_dict_converts_only_the_columns_that_are_asked_for() -> None:
    columns = {"a": [1, 2], "b": [1, "2"], "c": pa.array([[1.0], [2.0]]), "d": np.arange(2)}
    expected = pa.table({"a": [1, 2], "c": [[1.0], [2.0]], "d": [0, 1]})
    assert as_table(columns, ["a", "c", "d", "a"]) == expected
    assert as_table({"a": [1, 2]}) == pa.table({"a": [1, 2]})


def test_repeated_column_that_is_not_read_is_no_trouble() -> None:
    assert as_table(pa.table([[1], [2], [3]], ["a", "a", "b"]), ["b"]) == pa.table({"b": [3]})
