from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tzrec.errors import DataError
from tzrec.server.stores import keys as module
from tzrec.server.stores.keys import KeyIndex, to_keys


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([7, None, -1]), ["7", None, "-1"]),
        (pa.array([7.0, None, 2.0**40]), ["7", None, str(2**40)]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array(["7", "", None, "ü"]), ["7", None, None, "ü"]),
        (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
        (pa.chunked_array([[1], [2]]), ["1", "2"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_to_keys_writes_numbers_as_text(column: pa.Array, expected: list[str | None]) -> None:
    assert to_keys(column, "id").to_pylist() == expected


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([0.5]), 'column "id" has a key that is no whole number'),
        (pa.array([[1]]), 'column "id" of keys is list<item: int64>'),
        (pa.array([True]), 'column "id" of keys is bool'),
    ],
)
def test_to_keys_of_another_type_raises(column: pa.Array, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_keys(column, "id")


def strings(values: list[str | None]) -> pa.Array:
    return pa.array(values, pa.large_string())


def test_key_index_finds_the_last_row_of_a_key() -> None:
    index = KeyIndex(strings(["b", "a", None, "b", "c"]))
    assert index.find(strings(["a", "b", "c", "d", "aa"])).tolist() == [1, 3, 4, -1, -1]
    assert index.num_keys == 3
    assert index.find(strings([])).tolist() == []


def test_key_index_without_rows_finds_nothing() -> None:
    assert KeyIndex(strings([])).find(strings(["a"])).tolist() == [-1]
    assert KeyIndex(strings([None])).find(strings(["a"])).tolist() == [-1]


def test_key_index_tells_keys_of_one_hash_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_hashes", lambda keys: np.array([len(key or "") % 2 for key in keys.to_pylist()]))
    rows = ["a", "b", "cc", "a", None, "ddd"]
    expected = [max((row for row, key in enumerate(rows) if key == wanted), default=-1) for wanted in "abcx"]
    assert KeyIndex(strings(rows)).find(strings(list("abcx"))).tolist() == expected
    assert KeyIndex(strings(rows)).find(strings(["cc", "dd", "ddd"])).tolist() == [2, -1, 5]


def test_key_index_equals_a_dict() -> None:
    rng = np.random.default_rng(3)
    rows = [str(number) for number in rng.integers(0, 3000, 5000)]
    wanted = [str(number) for number in range(4000)]
    row_by_key = {key: row for row, key in enumerate(rows)}
    assert KeyIndex(strings(rows)).find(strings(wanted)).tolist() == [row_by_key.get(key, -1) for key in wanted]
