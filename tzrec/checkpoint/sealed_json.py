"""JSON objects that carry their own digest: a file of which one bit changed, wherever it is, is refused.

The last entry of the object is `"sha256"`, the digest of all bytes before its value, and the bytes after it are fixed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tzrec.storage.path import AnyPath

_HEAD, _TAIL = b'"sha256": "', b'"\n}\n'
_DIGITS = 64


class DamagedJsonError(ValueError):
    """A file that cannot be read, is no JSON object, or does not match its digest; the text says which."""


def seal(value: Mapping[str, Any]) -> str:
    """Format an object as indented JSON with its digest."""
    head = json.dumps(dict(value), indent=1).removesuffix("\n}") + ",\n " + _HEAD.decode()
    return head + hashlib.sha256(head.encode()).hexdigest() + _TAIL.decode()


def read_json(path: AnyPath) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        FileNotFoundError, NotADirectoryError: it does not exist.
        DamagedJsonError: it cannot be read, or is no JSON object.
    """
    return _parse(_read(path))


def read_sealed(path: AnyPath, first_sealed_format: int) -> dict[str, Any]:
    """Read an object that `seal` wrote, or one of an older format, which has no digest.

    Args:
        path: of the file.
        first_sealed_format: smallest number of the entry `format` whose objects have a digest.

    Raises:
        FileNotFoundError, NotADirectoryError: it does not exist.
        DamagedJsonError: it cannot be read, is no JSON object, or does not match its digest.
    """
    data = _read(path)
    value = _parse(data)
    number = value.get("format")
    if type(number) is not int or number < 1:
        raise DamagedJsonError("it has no valid format number")
    if number >= first_sealed_format and not _is_intact(data):
        raise DamagedJsonError("it does not match its own checksum")
    value.pop("sha256", None)
    return value


def _is_intact(data: bytes) -> bool:
    head = data[: -_DIGITS - len(_TAIL)]
    return head.endswith(_HEAD) and data[len(head) :] == hashlib.sha256(head).hexdigest().encode() + _TAIL


def _read(path: AnyPath) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise DamagedJsonError(f"it cannot be read: {error.strerror}") from None


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedJsonError(f"it is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise DamagedJsonError("it is no JSON object")
    return value
