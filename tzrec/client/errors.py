"""ServerError: a server that refuses a request, or does not answer."""

from __future__ import annotations

from tzrec.errors import TzrecError


class ServerError(TzrecError):
    """A server that refuses a request, or does not answer. The message names its address and gives its reason.

    Args:
        message: with the address and the reason.
        status: HTTP status, 400 to 499 where the request is to be changed; 0 if there was no answer.

    Attributes:
        status: the same.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
