"""HTTP connections with limits of time and size, which uvicorn does not have, so that slow clients hold no place."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tzrec.protos.serve_pb2 import RequestLimits

_MAX_HEADER_BYTES = 64 << 10
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout", b"the request did not arrive in time; max_read_s of the server limits it"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large", b"the headers are too long"


class LimitedProtocol(HttpToolsProtocol):
    """Connection that is closed when a request takes too long to arrive, or its answer to be read.

    `limited` makes the class that a server uses.
    """

    limits: RequestLimits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._read_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._num_header_bytes, self._num_late_bytes, self._has_headers = 0, 0, False
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            transport.abort()
            return
        self._begin_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.limits.max_write_s, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def on_message_begin(self) -> None:
        self._num_header_bytes, self._num_late_bytes, self._has_headers = 0, 0, False
        self._begin_reading()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count_header(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count_header(name + value)

    def on_headers_complete(self) -> None:
        self._has_headers = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:  # a client that goes on sending after it was refused
            self._num_late_bytes += len(body)
            if self._num_late_bytes > self.limits.max_body_bytes:
                self.transport.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._end_reading()
        super().on_message_complete()

    def _count_header(self, part: bytes) -> None:
        self._num_header_bytes += len(part)
        if self._num_header_bytes > _MAX_HEADER_BYTES:
            self._refuse(*_TOO_LONG)

    def _begin_reading(self) -> None:
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(self.limits.max_read_s, self._refuse, *_TOO_SLOW)

    def _end_reading(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _stop_timers(self) -> None:
        self._end_reading()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def _refuse(self, status_line: bytes, reason: bytes) -> None:
        """Answer a request that has not arrived, unless its answer has begun, and close the connection."""
        self._stop_timers()
        if self.transport.is_closing():
            return
        if not (self._has_headers and self.cycle.response_started):
            content = b'{"error":"' + reason + b'"}'
            headers = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(
                content
            )
            self.transport.write(status_line + b"\r\n" + headers + content)
        self.transport.close()


def limited(limits: RequestLimits) -> type[LimitedProtocol]:
    """Make the class of connections of a server."""
    attributes: dict[str, Any] = {"limits": limits}
    return type("LimitedConnection", (LimitedProtocol,), attributes)
