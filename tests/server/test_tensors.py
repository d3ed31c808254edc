from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest

from tzrec.server.errors import RequestError
from tzrec.server.tensors import NUMPY_TYPES, check_shape, from_bytes, from_list, output_tensor, to_bytes


def packed(strings: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in strings)


def test_tensor_in_binary_form_equals_the_packed_strings() -> None:
    rng = np.random.default_rng(1)
    strings = ["".join(chr(code) for code in rng.integers(32, 1000, rng.integers(0, 9))) for _ in range(50)]
    tensor = from_bytes("name", "BYTES", (50,), packed([text.encode() for text in strings]))
    assert tensor.to_column().to_pylist() == strings
    assert from_bytes("name", "BYTES", (0,), b"").to_column().to_pylist() == []


@pytest.mark.parametrize("datatype", list(NUMPY_TYPES))
def test_tensor_of_numbers_survives_both_forms(datatype: str) -> None:
    values = np.array([1, 0, 1, 1, 0, 0]).astype(NUMPY_TYPES[datatype])
    binary = from_bytes("name", datatype, (3, 2), values.tobytes())
    assert binary.to_column().to_pylist() == [[1, 0], [1, 1], [0, 0]]
    assert from_list("name", datatype, (3, 2), values.tolist()).to_column() == binary.to_column()
    assert to_bytes(output_tensor("name", values)) == values.tobytes()


def test_tensor_of_json_has_nulls_rows_and_single_columns() -> None:
    rows = from_list("name", "FP32", (2, 2), [[1, None], [0.1, 16777217]]).to_column()
    assert rows.to_pylist() == [[1.0, None], [np.float32(0.1), 16777216.0]]
    assert from_list("name", "BYTES", (2, 1), ["ä", None]).to_column() == pa.array(["ä", None])
    assert from_list("name", "INT64", (1,), [2**63 - 1]).to_column().to_pylist() == [2**63 - 1]
    assert from_list("name", "UINT64", (1,), [2**64 - 1]).to_column().to_pylist() == [2**64 - 1]


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "message"),
    [
        ("BYTES", (3,), packed([b"a", b"b"]), "2 strings in 10 bytes, but shape [3] needs 3"),
        ("BYTES", (1,), packed([b"a", b"b"]), "2 strings in 10 bytes, but shape [1] needs 1"),
        ("BYTES", (2,), packed([b"a", b"b"])[:-1], "no whole number of strings in 9 bytes, but shape [2] needs 2"),
        ("BYTES", (1,), b"\xff\xff\xff\xffabc", "no whole number of strings in 7 bytes, but shape [1] needs 1"),
        ("BYTES", (1,), packed([b"\xff"]), "a string is not UTF-8"),
        ("FP32", (2,), b"1234567", "no whole number of values in 7 bytes, but shape [2] needs 2"),
        ("INT64", (2, 2), bytes(24), "3 values in 24 bytes, but shape [2, 2] needs 4"),
        ("INT32", (2,), [1, "x"], "value 1 is 'x', not INT32"),
        ("INT8", (2,), [1, 300], "value 1 is 300, not INT8"),
        ("INT64", (2,), [1.5, 5], "value 0 is 1.5, not INT64"),
        ("FP32", (2,), [1, True], "value 1 is True, not FP32"),
        ("BOOL", (2,), [True, 1], "value 1 is 1, not BOOL"),
        ("BYTES", (2,), ["a", 5], "value 1 is 5, not BYTES"),
        ("FP32", (2, 2), [[1, 2], 3], '"data" mixes lists and single values'),
        ("FP32", (2, 2), [[1, 2], [3]], "3 values, but shape [2, 2] needs 4"),
        ("FP32", (2,), None, '"data" is NoneType, not a list of values'),
        ("FP32", (2,), [{}, 1], "value 0 is {}, not FP32"),
    ],
)
def test_tensor_with_wrong_data_is_refused(datatype: str, shape: tuple[int, ...], data: object, message: str) -> None:
    read = from_bytes if isinstance(data, bytes) else from_list
    with pytest.raises(RequestError) as raised:
        read("age", datatype, shape, data)  # type: ignore[arg-type]
    assert str(raised.value) == f'input "age": {message}' and raised.value.status == 400


@pytest.mark.parametrize("shape", [[], [1, 2, 3], [-1], [1.0], "1", None, [True], [1 << 31]])
def test_shape_that_is_not_of_rows_is_refused(shape: object) -> None:
    with pytest.raises(RequestError, match=r"is not \[rows\] or \[rows, values per row\]"):
        check_shape("age", "FP32", shape)
    with pytest.raises(RequestError, match='datatype "float" is not one of BOOL, INT8'.replace('"', "'")):
        check_shape("age", "float", [1])
