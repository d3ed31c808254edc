"""Examples of messages: a value of each, taken from example configs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import Message

from tzrec.config.canonical import format_text
from tzrec.config.field_text import message_text, parts_of
from tzrec.config.load import load_config
from tzrec.config.schema import descriptor_of, is_map

_MAX_TEXT = 500
"""Length of examples; longer ones show other messages more than their own."""


def example_texts(folder: Path) -> dict[str, str]:
    """Return an example by the name of its message: the value with most fields among those that are short.

    Args:
        folder: config files.
    """
    best: dict[str, tuple[int, int, str]] = {}
    for path in sorted(folder.glob("*.config")):
        for name, message in _messages(load_config(str(path))):
            text = f"{name} {message_text(message)}"
            kind, num_fields = message.DESCRIPTOR.name, len(message.ListFields())
            if num_fields and len(text) <= _MAX_TEXT:
                best[kind] = max(best.get(kind, (0, 0, "")), (num_fields, -len(text), text))
    return {kind: format_text(text) for kind, (_, _, text) in sorted(best.items())}


def _messages(message: Message) -> Iterator[tuple[str, Message]]:
    """Yield all messages below a message, each with the name of its field."""
    for field, value in message.ListFields():
        for part in () if is_map(field) else parts_of(message, field, value):
            if isinstance(part, Message) and descriptor_of(part).file.package == descriptor_of(message).file.package:
                yield field.name, part
                yield from _messages(part)
