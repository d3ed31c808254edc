"""Connection to a store: every request ends within a bounded time, and every error names the URL and what to change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tzrec.errors import StoreError, TzrecError, first_line
from tzrec.storage.url import protocol_problem

REQUEST_TIMEOUT_S = 60.0
"""Seconds after which a request counts as failed, with the repetitions that the package of the store makes itself."""

_R = TypeVar("_R")


class Connection:
    """The fsspec filesystem of a URL.

    Args:
        url: of a file or directory in it.

    Attributes:
        filesystem: of fsspec.
        root: path of the URL in that filesystem.

    Raises:
        StoreError: the protocol is unknown, its package is missing, or it refuses the URL.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # imported for URLs only

        problem = protocol_problem(url)
        if problem:
            raise StoreError(f"{url}: {problem}")
        try:
            self.filesystem, self.root = fsspec.core.url_to_fs(url)
        except Exception as error:  # of any class: each filesystem has its own
            raise StoreError(f"{url}: {_line_of(error)}{_fix(error)}") from error

    def call(self, url: str, request: Callable[[], _R]) -> _R:
        """Make a request.

        Args:
            url: of the file, for errors.
            request: calls the filesystem.

        Raises:
            FileNotFoundError: the file does not exist.
            FileExistsError: it was to be created and exists.
            StoreError: anything else that went wrong, or there was no answer in time.
        """
        try:
            return _within(REQUEST_TIMEOUT_S, request)
        except (FileNotFoundError, FileExistsError, TzrecError):
            raise
        except _NoAnswerError:
            raise StoreError(
                f"{url}: no answer within {REQUEST_TIMEOUT_S:.0f} s; check the network and the address of the store"
            ) from None
        except Exception as error:
            raise StoreError(f"{url}: {_line_of(error)}{_fix(error)}") from error


class _NoAnswerError(Exception):
    """A request took too long."""


def _within(seconds: float, request: Callable[[], _R]) -> _R:
    """Run a request in a thread of its own, which is left behind if it does not end: nothing can interrupt it."""
    result: list[_R] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            result.append(request())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="store", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not result:
        raise _NoAnswerError
    return result[0]


def _line_of(error: BaseException) -> str:
    """Format an error of another library on one line, with its class."""
    text, kind = first_line(error), type(error).__name__
    return text if text == kind else f"{text} ({kind})"


_FIXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "set the credentials of the store, for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ("credential", "anonymous caller"),
    ),
    (
        "use credentials that may list, read, write and delete there",
        ("denied", "forbidden", "permission", "accesskeyid", "access key", "signature", "not authorized"),
    ),
    (
        "check the network and the address of the store, for S3 AWS_ENDPOINT_URL",
        ("connect", "resolve", "unreachable", "reset", "closed"),
    ),
    ("the store limits requests: try again later", ("slow down", "slowdown", "throttl", "too many requests")),
)
"""Change -> words of the errors that it mends; the packages of the stores have no classes in common."""


def _fix(error: BaseException) -> str:
    text = f"{type(error).__name__} {error}".lower()
    return next((f"; {fix}" for fix, words in _FIXES if any(word in text for word in words)), "")
