"""Bodies in gzip and deflate, of requests and of responses."""

from __future__ import annotations

import zlib

from tzrec.server.errors import TOO_LARGE, UNSUPPORTED_TYPE, RequestError

MIN_BYTES = 16 << 10
"""A shorter response is sent as it is: to compress it takes longer than to send it."""
_FORMATS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_FASTEST = 1


class BodyReader:
    """Body of a request, chunk by chunk.

    Args:
        encoding: value of Content-Encoding; empty without it.
        max_bytes: a longer body is refused, before and after it is unpacked.

    Raises:
        RequestError: the encoding is unknown.
    """

    def __init__(self, encoding: str, max_bytes: int) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", *_FORMATS):
            raise RequestError(f"Content-Encoding is {encoding!r}, not gzip, deflate or identity", UNSUPPORTED_TYPE)
        self._encoding, self._max_bytes = encoding, max_bytes
        self._unpacker = zlib.decompressobj(_FORMATS[encoding]) if encoding in _FORMATS else None
        self._chunks: list[bytes] = []
        self._num_bytes = 0

    def add(self, chunk: bytes) -> int:
        """Read a chunk; returns the number of bytes that are kept of it.

        Raises:
            RequestError: the body is too long, or not in its encoding.
        """
        if self._unpacker is not None:
            try:
                chunk = self._unpacker.decompress(chunk, self._max_bytes - self._num_bytes + 1)
            except zlib.error as error:
                raise RequestError(f"the body is not in {self._encoding}: {error}") from None
        self._num_bytes += len(chunk)
        if self._num_bytes > self._max_bytes:
            raise RequestError(f"the body has more than {self._max_bytes} bytes; send fewer rows", TOO_LARGE)
        self._chunks.append(chunk)
        return len(chunk)

    def body(self) -> bytes:
        """The body, once all chunks are added.

        Raises:
            RequestError: it ends too early, or something follows its end.
        """
        if self._unpacker is not None and (not self._unpacker.eof or self._unpacker.unused_data):
            reason = "ends too early" if not self._unpacker.eof else "is followed by other bytes"
            raise RequestError(f"the {self._encoding} of the body {reason}")
        return b"".join(self._chunks)


def accepted_encoding(header: str) -> str:
    """Choose gzip or deflate by the value of Accept-Encoding; empty if it has neither."""
    weights = {}
    for entry in header.lower().split(","):
        name, _, parameter = entry.partition(";")
        weights[name.strip()] = parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return next((name for name in _FORMATS if weights.get(name)), "")


def pack(body: bytes, encoding: str) -> bytes:
    """Compress a body with gzip or deflate."""
    packer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _FORMATS[encoding])
    return packer.compress(body) + packer.flush()
