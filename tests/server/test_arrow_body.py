from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa
import pytest

from tzrec.server.arrow_body import decoded_bytes, read_arrow, write_arrow
from tzrec.server.errors import BAD_REQUEST, TOO_LARGE, RequestError

WORDS = ["a", "", None, "word", "a"]
DICTIONARY = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 1, 1], pa.int8()), pa.array(["ab", "cde"]))
LISTS = pa.array([["a", "bc"], None, [], ["def"], ["gh"]], pa.list_(pa.string_view()))
NUMBERS = pa.ListViewArray.from_arrays(
    pa.array([0, 0, 1], pa.int32()), pa.array([3, 2, 1], pa.int32()), pa.array([1, 2, 3])
)
RUNS = pa.RunEndEncodedArray.from_arrays(pa.array([2, 5], pa.int32()), pa.array(["ab", "c"]))
MAPS = pa.array(
    [[("a", "xx")], None, [("b", "y"), ("c", "")]], pa.map_(pa.string(), pa.dictionary(pa.int8(), pa.string()))
)


def content_bytes(value: Any) -> int:
    """Bytes of a value that stands for itself: of text its length, of a number 8."""
    if value is None:
        return 0
    if isinstance(value, (list, tuple)):
        return sum(map(content_bytes, value))
    return len(value.encode()) if isinstance(value, str) else 8


@pytest.mark.parametrize(
    "array",
    [
        pa.array(WORDS, pa.string_view()),
        DICTIONARY,
        LISTS,
        NUMBERS,
        RUNS,
        MAPS,
        pa.FixedSizeListArray.from_arrays(DICTIONARY[:4], 2),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_decoded_bytes_are_those_of_the_values(array: pa.Array, first: int) -> None:
    part = array.slice(first)
    assert decoded_bytes(part) == content_bytes(part.to_pylist())


def test_decoded_bytes_of_values_that_stand_for_themselves_are_not_counted() -> None:
    assert decoded_bytes(pa.array(WORDS)) == decoded_bytes(pa.array([[1, 2], None])) == 0


def stream(table: pa.Table, compression: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=1000)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_arrow_body_is_read_up_to_its_unpacked_size(compression: str | None) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), pa.array(["w" * 100]))
    table = pa.table({"zeros": pa.array([0] * 3000), "words": words})
    body = stream(table, compression)
    assert read_arrow(body, 300_000).equals(table)
    for max_bytes in (3000 * 8 - 1, 299_999):  # the compressed buffers, and the values of the dictionary
        if compression is None and max_bytes < 299_999:
            continue
        with pytest.raises(RequestError, match=rf"bytes, but {max_bytes} are allowed; send fewer rows") as raised:
            read_arrow(body, max_bytes)
        assert raised.value.status == TOO_LARGE
    assert read_arrow(write_arrow(table), 300_000).equals(table)


@pytest.mark.parametrize(
    "body", [b"", b"arrow?", struct.pack("<iI", -1, 1 << 30), stream(pa.table({"x": [1]}), "lz4")[:-40]]
)
def test_arrow_body_that_is_damaged_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="the body is not a stream of Arrow: ") as raised:
        read_arrow(body, 1000)
    assert raised.value.status == BAD_REQUEST
