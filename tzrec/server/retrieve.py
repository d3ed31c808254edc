"""Requests for the items nearest to users, and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tzrec.server.batcher import ScoringRequest
from tzrec.server.errors import RequestError
from tzrec.server.infer_json import rows_from_json

_FIELDS = ("user", "users", "context", "k")
_ADVICE = 'give {"user": {...}, "k": 100} or {"users": [{...}, ...], "k": 100}'


@dataclass(frozen=True)
class RetrievalRequest(ScoringRequest):
    """Users to find items for; requests of different numbers of items are answered together.

    Attributes:
        k: items to find for each user.
    """

    k: int = 1


def read_users(value: Any) -> tuple[pa.Table, int, bool]:
    """Read the parsed body of a request.

    Args:
        value: parsed JSON: one `user` or several `users`, `k`, and a `context` that all users share.

    Returns:
        a row for each user, k, and True for one `user`.

    Raises:
        RequestError: it is not of this form; names the field.
    """
    if not isinstance(value, dict) or ("user" in value) == ("users" in value):
        raise RequestError(f"the body has no user, or both forms of them: {_ADVICE}")
    unknown = sorted(value.keys() - set(_FIELDS))
    if unknown:
        raise RequestError(f'"{unknown[0]}" is not one of {", ".join(_FIELDS)}')
    is_single = "user" in value
    users, context = [value["user"]] if is_single else value["users"], value.get("context", {})
    for name, entry in (("user", users[0] if is_single else {}), ("context", context)):
        if not isinstance(entry, dict):
            raise RequestError(f'"{name}" is not an object such as {{"user_id": 7}}')
    if not isinstance(users, list) or not all(isinstance(user, dict) for user in users):
        raise RequestError('"users" is not a list of objects such as {"user_id": 7}')
    rows = rows_from_json([{**user, **context} for user in users], "users")
    return rows, ensure_count(value.get("k")), is_single


def ensure_count(k: Any) -> int:
    """Check the number of items to find.

    Raises:
        RequestError: it is no whole number from 1 up.
    """
    if type(k) is not int or k < 1:
        raise RequestError(f'"k" is {k!r}, not a whole number from 1 up: how many items to find for each user')
    return k


def first_items(found_items: pa.Table, k: int) -> pa.Table:
    """Keep the best k items of each user, of a search for more."""
    return pa.table({name: pc.list_slice(found_items[name], 0, k) for name in found_items.column_names})
