"""RequestError: a request that cannot be answered, with its HTTP status; other requests are not affected."""

from __future__ import annotations

from tzrec.errors import TzrecError

BAD_REQUEST, UNAUTHORIZED, NOT_FOUND, TOO_LARGE, UNSUPPORTED_TYPE, TOO_MANY = 400, 401, 404, 413, 415, 429
DISCONNECTED = 499
"""Status of a request whose client has left, in metrics."""
UNAVAILABLE, TOO_LATE = 503, 504


class RequestError(TzrecError):
    """A request that cannot be answered. The message names the field, what was received and what is right.

    Args:
        message: sent to the client.
        status: HTTP status, 4xx where the request is to be changed.
    """

    def __init__(self, message: str, status: int = BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status
