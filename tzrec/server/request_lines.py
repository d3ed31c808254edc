"""RequestLines, TracedApp: the access log and the log of slow requests, a line for each request."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tzrec.log import logger
from tzrec.protos.observation_pb2 import LOG_JSON, AccessLog
from tzrec.server.background_writer import BackgroundWriter
from tzrec.server.trace import RequestTrace, current_trace

_MAX_BYTES = 16 << 20
_LINE_BYTES = 1000
_SLOW_LINES_PER_S = 10


class RequestLines:
    """Writes a line for each request, and another one for a slow request.

    Lines have the address of the client, the call, the status, the size and the time, and no headers, bodies or query
    strings, in which tokens could be.

    Args:
        access_log: None for no access log.
        slow_request_ms: requests that take longer are slow; 0 if none is.
    """

    def __init__(self, access_log: AccessLog | None, slow_request_ms: float) -> None:
        self._slow_s = slow_request_ms / 1000
        self._second, self._num_slow, self._num_left_out = 0, 0, 0
        self._config = access_log
        self._writer: BackgroundWriter[dict[str, Any]] | None = None
        if access_log is not None:
            name = f"the access log {access_log.path or 'on stderr'}"
            self._writer = BackgroundWriter(name, self._write, _MAX_BYTES, lambda count: None)

    def log(self, trace: RequestTrace, status: int, num_bytes: int) -> None:
        """Log an answered request, with the bytes of its answer."""
        seconds = time.perf_counter() - trace.start
        if self._writer is not None:
            self._writer.put(_entry(trace, status, num_bytes, seconds), _LINE_BYTES)
        if 0 < self._slow_s < seconds:
            self._log_slow(trace, status, seconds)

    def close(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            self._writer.close()

    def _log_slow(self, trace: RequestTrace, status: int, seconds: float) -> None:
        """Log a slow request; when all are slow, ten of a second are enough."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._num_slow = second, 0
        self._num_slow += 1
        if self._num_slow > _SLOW_LINES_PER_S:
            self._num_left_out += 1
            return
        parts = [f"{name} {1000 * stage:.1f}" for name, stage in trace.stages.items()]
        if self._num_left_out:
            parts.append(f"{self._num_left_out} slow requests before it left out")
            self._num_left_out = 0
        details = f"{trace.num_rows} rows of {trace.model}; " if trace.model else ""
        about = f" id {json.dumps(trace.id)}" if trace.id else ""
        stages = ", ".join(parts)
        logger.warning(
            "slow   %s%s %d after %.1f ms (%s%s)", _safe(trace.call), about, status, 1000 * seconds, details, stages
        )

    def _write(self, entries: list[dict[str, Any]]) -> None:
        assert self._config is not None
        form = json.dumps if self._config.format == LOG_JSON else _text
        text = "".join(f"{form(entry)}\n" for entry in entries)
        if not self._config.path:
            sys.stderr.write(text)
            sys.stderr.flush()
            return
        with open(self._config.path, "a", encoding="utf-8") as stream:  # anew each time: log rotation may have moved it
            stream.write(text)


class TracedApp:
    """ASGI application that logs the requests of another one, also those that it has no handler for.

    Args:
        app: answers.
        lines: logs.
    """

    def __init__(self, app: ASGIApp, lines: RequestLines) -> None:
        self._app, self._lines = app, lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        trace = RequestTrace("rest", client[0] if client else "", f"{scope['method']} {scope['path']}")
        current_trace.set(trace)
        status, num_bytes = 0, 0

        async def send_counted(message: Message) -> None:
            nonlocal status, num_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            num_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        finally:
            self._lines.log(trace, status, num_bytes)


def _entry(trace: RequestTrace, status: int, num_bytes: int, seconds: float) -> dict[str, Any]:
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "protocol": trace.protocol,
        "client": trace.client,
        "call": _safe(trace.call),
        "status": status,
        "bytes": num_bytes,
        "ms": round(1000 * seconds, 3),
        "model": trace.model,
        "rows": trace.num_rows,
        "id": trace.id,
    }


def _text(entry: dict[str, Any]) -> str:
    """Format an entry as words; one that is empty is a dash, and the id, which a client chooses, is in quotes."""
    words = {**entry, "call": f'"{entry["call"]}"', "model": entry["model"] or "-", "id": json.dumps(entry["id"])}
    words |= {"bytes": f"{entry['bytes']} B", "ms": f"{entry['ms']} ms", "rows": f"{entry['rows']} rows"}
    return " ".join(str(word) for word in words.values())


def _safe(call: str) -> str:
    """Escape what would break a line or look like another one."""
    return quote(call, safe="/ :=&?%-._~")
