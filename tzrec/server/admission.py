"""Admission: the clients that are answered, and the number and size of their requests at a time."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tzrec import env
from tzrec.errors import UsageError
from tzrec.log import logger
from tzrec.protos.serve_pb2 import RequestLimits
from tzrec.server.errors import TOO_MANY, UNAUTHORIZED, RequestError

_SCHEME = "bearer "
_MEMORY_SHARE = 0.25
_NUM_CLIENTS = 10_000
"""Clients whose rates are remembered; those that have waited longest are forgotten first."""


class Tokens:
    """Tokens of a file, one per line, which is read again when it changes.

    Args:
        path: of the file.

    Raises:
        UsageError: it cannot be read, or has no token.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._tokens = self._read()
        self._changed_at = self._path.stat().st_mtime_ns

    def refresh(self) -> None:
        """Read the file again if it has changed; the tokens before are kept if it cannot be read."""
        try:
            changed_at = self._path.stat().st_mtime_ns
            if changed_at != self._changed_at:
                self._changed_at = changed_at  # a problem is reported once
                self._tokens = self._read()
                logger.info("serve  %s: %d tokens", self._path, len(self._tokens))
        except (OSError, UsageError) as error:
            logger.error("serve  the tokens stay as they were: %s", error)

    def client(self, authorization: str) -> str:
        """Return a name for the client with a header `Authorization`.

        Raises:
            RequestError: it has no valid token.
        """
        token = authorization[len(_SCHEME) :].strip() if authorization.lower().startswith(_SCHEME) else ""
        digest = _digest(token)
        if digest not in self._tokens:  # digests, so that the time of this tells nothing about a token
            raise RequestError('the header "Authorization: Bearer TOKEN" has no valid token', UNAUTHORIZED)
        return digest

    def _read(self) -> frozenset[str]:
        try:
            lines = self._path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"token_path {self._path} cannot be read: {error}; write a token per line") from None
        if not lines:
            raise UsageError(f"token_path {self._path} has no token; write a token per line")
        return frozenset(map(_digest, lines))


class Ticket:
    """A request that is being answered.

    Args:
        admission: by which it was admitted.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.num_bytes = 0

    def add_bytes(self, num_bytes: int) -> None:
        """Count bytes of its body that are kept in memory.

        Raises:
            RequestError: all requests together have too many.
        """
        self._admission.add_bytes(num_bytes)
        self.num_bytes += num_bytes


class Admission:
    """Decides which requests are answered. Threads may share it.

    Args:
        limits: of requests.
        tokens: of clients; None if everybody is answered.

    Attributes:
        limits: of requests.
        is_draining: True once the server is about to stop, and is not ready for further requests.
    """

    def __init__(self, limits: RequestLimits, tokens: Tokens | None = None) -> None:
        self.limits, self._tokens = limits, tokens
        self.is_draining = False
        self._max_total_bytes = min(limits.max_total_bytes, _MEMORY_SHARE * env.available_memory())
        self._num_requests, self._num_bytes = 0, 0
        self._rates: dict[str, tuple[float, float]] = {}  # requests that a client may still send, and since when
        self._lock = threading.Lock()

    @contextmanager
    def admit(self, authorization: str, address: str) -> Iterator[Ticket]:
        """Admit a request meanwhile.

        Args:
            authorization: value of the header `Authorization`, empty without it.
            address: of the client.

        Raises:
            RequestError: the client has no valid token, or sends too many requests, or there are too many.
        """
        client = self._tokens.client(authorization) if self._tokens else address
        with self._lock:
            if self.limits.HasField("max_requests_per_s"):
                self._count_request(client)
            if self._num_requests >= self.limits.max_requests:
                raise RequestError(f"{self._num_requests} requests are being answered; try again later", TOO_MANY)
            self._num_requests += 1
        ticket = Ticket(self)
        try:
            yield ticket
        finally:
            with self._lock:
                self._num_requests -= 1
                self._num_bytes -= ticket.num_bytes

    def add_bytes(self, num_bytes: int) -> None:
        """Count bytes that are kept in memory until their request is answered.

        Raises:
            RequestError: there are too many.
        """
        with self._lock:
            if self._num_bytes + num_bytes > self._max_total_bytes:
                raise RequestError("too many bytes of requests are being received; try again later", TOO_MANY)
            self._num_bytes += num_bytes

    def refresh(self) -> None:
        """Read the tokens again if they have changed."""
        if self._tokens:
            self._tokens.refresh()

    def _count_request(self, client: str) -> None:
        now = time.monotonic()
        allowed, since = self._rates.pop(client, (float(self.limits.max_burst), now))
        allowed = min(self.limits.max_burst, allowed + (now - since) * self.limits.max_requests_per_s)
        self._rates[client] = (max(allowed - 1, 0.0) if allowed >= 1 else allowed, now)  # the last one of all
        if len(self._rates) > _NUM_CLIENTS:
            del self._rates[next(iter(self._rates))]
        if allowed < 1:
            rate = f"{self.limits.max_requests_per_s:g} requests per second"
            raise RequestError(f"more than {rate} of one client; try again later", TOO_MANY)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
