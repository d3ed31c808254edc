"""Strings in binary form: each is its length as four little-endian bytes, then its bytes."""

from __future__ import annotations

from numba import types

from tzrec.ops.jit import INT32S_OUT, UINT8S, UINT8S_OUT, jit


@jit(types.Tuple((types.int64, types.boolean))(UINT8S, INT32S_OUT, UINT8S_OUT))
def unpack(data, offsets, text):  # type: ignore[no-untyped-def]
    """Separate the lengths from the bytes.

    Args:
        data: strings in binary form.
        offsets: receives the start of each string in `text`, and the end of the last, `(N + 1,)`.
        text: receives the bytes, at least as long as `data`.

    Returns:
        The number of strings in `data`, of which the first N are read, and True if the last one is complete.
    """
    size, position, end, count = len(data), 0, 0, 0
    offsets[0] = 0
    while position < size:
        if position + 4 > size:
            return count, False
        length = 0
        for byte in range(4):
            length |= types.int64(data[position + byte]) << (8 * byte)
        position += 4
        if position + length > size:
            return count, False
        if count + 1 < len(offsets):
            text[end : end + length] = data[position : position + length]
            end += length
            offsets[count + 1] = end
        position += length
        count += 1
    for index in range(count + 1, len(offsets)):
        offsets[index] = end
    return count, True
