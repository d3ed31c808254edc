"""Transport of a client, and the attempts that it makes: scoring changes nothing, so a request may be sent again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from tzrec.client.errors import ServerError

NO_ANSWER, TOO_MANY, BAD_GATEWAY, UNAVAILABLE = 0, 429, 502, 503
_NOT_NOW = (NO_ANSWER, TOO_MANY, BAD_GATEWAY, UNAVAILABLE)
"""Statuses after which the same request may be answered."""
_FIRST_PAUSE_S = 0.05
Answer = TypeVar("Answer")
Values = Mapping[str, Any]
"""Values of one row by column."""


@dataclass(frozen=True)
class Target:
    """A model and its version; the version is empty for the one that the server answers with."""

    model: str
    version: str


@dataclass(frozen=True)
class TlsFiles:
    """Files in PEM for a connection with TLS.

    Attributes:
        ca_file: certificates that may sign that of the server; None for those of the system.
        cert_files: certificate of the client and its key; None for none.
    """

    ca_file: str | PathLike[str] | None = None
    cert_files: tuple[str, str] | None = None


class Transport(Protocol):
    """Requests to a server over one protocol. Threads may share it; each call ends within the seconds given."""

    def models(self, timeout_s: float) -> list[str]:
        """Names of the models that answer."""
        ...

    def metadata(self, target: Target, timeout_s: float) -> dict[str, Any]:
        """Description of a model, see the Open Inference Protocol."""
        ...

    def predict(self, target: Target, rows: pa.Table, timeout_s: float) -> pa.Table:
        """Scores of rows."""
        ...

    def rank(self, target: Target, user: Values, items: Sequence[Values], timeout_s: float) -> pa.Table:
        """Scores of items for one user."""
        ...

    def retrieve(self, target: Target, users: pa.Table, k: int, timeout_s: float) -> pa.Table:
        """Items nearest to users, and their scores."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True)
class Attempts:
    """Attempts at a request.

    Attributes:
        timeout_s: for all of them together.
        num_retries: after the first one.
    """

    timeout_s: float
    num_retries: int

    def run(self, request: Callable[[float], Answer]) -> Answer:
        """Make a request, and again after a pause that doubles while the server does not answer now.

        Args:
            request: called with the seconds that are left.

        Raises:
            ServerError: of the last attempt.
        """
        end = time.monotonic() + self.timeout_s
        for attempt in range(self.num_retries):
            try:
                return request(end - time.monotonic())
            except ServerError as error:
                pause_s = _FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1)  # so that clients do not return at once
                if error.status not in _NOT_NOW or time.monotonic() + pause_s >= end:
                    raise
                time.sleep(pause_s)
        return request(max(end - time.monotonic(), 0.001))
