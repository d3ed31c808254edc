"""Tensors of the Open Inference Protocol, and their conversion to columns of raw data and from outputs.

A tensor `(B,)` or `(B, 1)` is a column of single values, `(B, C)` one of lists. BYTES are text in UTF-8; in binary
form each element is its length as four little-endian bytes, then the bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.server.errors import RequestError

NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
BYTES = "BYTES"
DATATYPES = (*NUMPY_TYPES, BYTES)
_MAX_DIMENSIONS = 2


@dataclass(frozen=True)
class NamedTensor:
    """A named tensor.

    Attributes:
        name: of the input or output.
        datatype: one of DATATYPES.
        shape: `(B,)` or `(B, C)`.
        values: all elements, row after row: one array, of strings for BYTES.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: pa.Array

    @property
    def num_rows(self) -> int:
        return self.shape[0]

    def to_column(self) -> pa.Array:
        """Convert to a column of raw data, `(B,)`: of lists where the shape is `(B, C)` with another C than 1."""
        if len(self.shape) == 1 or self.shape[1] == 1:
            return self.values
        rows, width = self.shape
        return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * width), self.values)


def check_shape(name: str, datatype: object, shape: object) -> tuple[str, tuple[int, ...]]:
    """Check the datatype and the shape of an input.

    Raises:
        RequestError: one of them is not of the protocol, or not that of rows.
    """
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise RequestError(f'input "{name}": datatype {datatype!r} is not one of {", ".join(DATATYPES)}')
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= _MAX_DIMENSIONS
        or not all(type(size) is int and 0 <= size < 1 << 31 for size in shape)
    ):
        raise RequestError(f'input "{name}": shape {shape!r} is not [rows] or [rows, values per row]')
    if shape[-1] == 0 and len(shape) > 1:
        raise RequestError(
            f'input "{name}": shape {shape!r} has no values; leave out an input whose values are missing'
        )
    return datatype, tuple(shape)


def from_list(name: str, datatype: str, shape: tuple[int, ...], data: object) -> NamedTensor:
    """Read the elements of an input from JSON or from protobuf: one flat list, or one list for each row.

    Null is a missing value.

    Raises:
        RequestError: elements are not of the datatype, or their number is not that of the shape.
    """
    flat = _flat(name, data)
    _check_count(name, shape, len(flat), "values")
    kind = pa.string() if datatype == BYTES else pa.from_numpy_dtype(NUMPY_TYPES[datatype])
    try:
        values = pa.array(flat, pa.binary()).cast(kind) if datatype == BYTES else _numbers(flat, kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, UnicodeEncodeError):
        index, value = _first_unfit(flat, kind)
        raise RequestError(f'input "{name}": value {index} is {value!r}, not {datatype}') from None
    return NamedTensor(name, datatype, shape, values)


def from_bytes(name: str, datatype: str, shape: tuple[int, ...], data: bytes | memoryview) -> NamedTensor:
    """Read the elements of an input from its binary form; numbers are not copied.

    Raises:
        RequestError: there are more or fewer bytes than the shape needs, or they are not UTF-8.
    """
    count = math.prod(shape)
    if datatype != BYTES:
        kind = NUMPY_TYPES[datatype]
        _check_count(name, shape, len(data) / kind.itemsize, f"values in {len(data)} bytes")
        numbers = np.frombuffer(data, kind)
        return NamedTensor(
            name, datatype, shape, pa.array(numbers.view(np.uint8) != 0 if datatype == "BOOL" else numbers)
        )
    from tzrec.server.kernels.strings import unpack

    most = len(data) // 4  # a shape alone must not take memory
    offsets, text = np.empty(min(count, most) + 1, np.int32), np.empty(len(data), np.uint8)
    num_read, is_whole = unpack(np.frombuffer(data, np.uint8), offsets, text)
    _check_count(name, shape, num_read if is_whole else math.nan, f"strings in {len(data)} bytes")
    strings = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text[: offsets[-1]]))
    try:
        strings.validate(full=True)
    except pa.ArrowInvalid:
        raise RequestError(f'input "{name}": a string is not UTF-8') from None
    return NamedTensor(name, datatype, shape, strings)


def output_tensor(name: str, values: npt.NDArray[Any]) -> NamedTensor:
    """Convert an output `(B, ...)`."""
    datatype = next(name for name, kind in NUMPY_TYPES.items() if kind == values.dtype)
    return NamedTensor(name, datatype, values.shape, pa.array(values.reshape(-1)))


def to_bytes(tensor: NamedTensor) -> bytes:
    """Write the elements of an output in binary form."""
    values: npt.NDArray[Any] = tensor.values.to_numpy(zero_copy_only=False)
    return values.tobytes()


def _flat(name: str, data: object) -> list[Any]:
    if isinstance(data, list) and data and isinstance(data[0], list):
        if not all(isinstance(row, list) for row in data):
            raise RequestError(f'input "{name}": "data" mixes lists and single values')
        data = [value for row in data for value in row]
    if not isinstance(data, list):
        raise RequestError(f'input "{name}": "data" is {type(data).__name__}, not a list of values')
    return data


def _numbers(flat: list[Any], kind: pa.DataType) -> pa.Array:
    """Convert numbers; a bool is no number, and a number is no bool."""
    is_bool = pa.types.is_boolean(kind)
    if any(isinstance(value, bool) is not is_bool for value in flat if value is not None):
        raise TypeError
    if pa.types.is_floating(kind):  # integers and numbers between two floats are rounded, as everywhere
        return pa.array(flat, pa.float64()).cast(kind, safe=False)
    if any(isinstance(value, float) for value in flat):
        return pa.array(flat, pa.float64()).cast(kind)  # refuses fractions
    return pa.array(flat, kind)


def _first_unfit(flat: list[Any], kind: pa.DataType) -> tuple[int, Any]:
    """Find the first value that is not of a type."""
    for index, value in enumerate(flat):
        try:
            pa.array([value], pa.binary()).cast(kind) if kind == pa.string() else _numbers([value], kind)
        except (pa.ArrowException, ValueError, TypeError, OverflowError, UnicodeEncodeError):
            return index, value
    raise AssertionError("each value is of the type, but not all together")


def _check_count(name: str, shape: tuple[int, ...], count: float, what: str) -> None:
    expected = math.prod(shape)
    if count != expected:
        received = f"{count:g} {what}" if math.isfinite(count) and count == int(count) else f"no whole number of {what}"
        raise RequestError(f'input "{name}": {received}, but shape {list(shape)} needs {expected}')
