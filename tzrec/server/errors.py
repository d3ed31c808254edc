"""RequestError: a request that cannot be answered, with its HTTP status; other requests are not affected."""

from __future__ import annotations

from tzrec.errors import TzrecError

BAD_REQUEST, NOT_FOUND, TOO_LARGE, UNSUPPORTED_TYPE, TOO_MANY, UNAVAILABLE, TOO_LATE = 400, 404, 413, 415, 429, 503, 504


class RequestError(TzrecError):
    """A request that cannot be answered. The message names the field, what was received and what is right.

    Args:
        message: sent to the client.
        status: HTTP status, 4xx where the request is to be changed.
    """

    def __init__(self, message: str, status: int = BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status
