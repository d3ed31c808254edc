"""Change the text of a config from one message to another; comments, order and layout of all else stay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec.config.schema import fields_of, is_map, is_message
from tzrec.config.syntax import Body, FieldEntry, parse_tree

_REST_OF_LINE = re.compile(r"[ \t,;]*(?:#[^\n]*)?(?=\n|\Z)")
_SPACE = re.compile(r"[ \t,;]*")
_TextEdit = tuple[int, int, str]
"""Start and end in the text, and what stands there instead."""


def patch(text: str, old: Message, new: Message) -> str:
    """Rewrite the fields in which two messages differ.

    Args:
        text: protobuf text format of `old`; fields that loading has completed may be missing in it.
        old: message of the text.
        new: message of the same type that the result is to have.

    Example:
        patch("lr: 0.1  # tried 0.2", Adam(lr=0.1), Adam(lr=0.3)) == "lr: 0.3  # tried 0.2"
    """
    pieces, position = [], 0
    for start, end, replacement in sorted(_edits(text, parse_tree(text), old, new), key=lambda edit: edit[:2]):
        pieces += [text[position:start], replacement]
        position = end
    return "".join([*pieces, text[position:]])


def _edits(text: str, body: Body, old: Message, new: Message) -> Iterator[_TextEdit]:
    added: list[FieldDescriptor] = []
    removed: list[FieldEntry] = []
    for field in fields_of(new).values():
        old_value, new_value = _value(old, field), _value(new, field)
        if old_value == new_value:
            continue
        entries = [entry for entry in body.entries if entry.name == field.name]
        pairs = _message_pairs(entries, field, old_value, new_value)
        if pairs is not None:
            for inner, old_message, new_message in pairs:
                yield from _edits(text, inner, old_message, new_message)
        elif new_value is None:
            removed += entries
        elif entries:
            first, *rest = entries
            is_alone = text[text.rfind("\n", 0, first.start) + 1 : first.start].isspace() or not first.start
            is_long = is_message(field) and is_alone and _REST_OF_LINE.match(text, first.end) is not None
            yield first.start, first.end, _field_text(new, field, _indent(text, first.start) if is_long else None)
            removed += rest
        else:
            added.append(field)
    yield from (_removal(text, entry) for entry in removed)
    kept = [entry for entry in body.entries if entry not in removed]
    yield from (_insertion(text, body, kept[-1] if kept else None, new, field) for field in added)


def _value(message: Message, field: FieldDescriptor) -> Any:
    """Return what a field holds, None if it is not set."""
    value = getattr(message, field.name)
    if is_map(field):
        return dict(value) or None
    if field.is_repeated:
        return list(value) or None
    return value if message.HasField(field.name) else None


def _message_pairs(
    entries: list[FieldEntry], field: FieldDescriptor, old: Any, new: Any
) -> list[tuple[Body, Message, Message]] | None:
    """Pair the messages of a field with their texts; None if the field is to be replaced as a whole."""
    bodies = [value for entry in entries for value in entry.values if isinstance(value, Body)]
    if not is_message(field) or is_map(field) or old is None or new is None:
        return None
    old_messages, new_messages = (old, new) if field.is_repeated else ([old], [new])
    if not len(bodies) == len(old_messages) == len(new_messages):
        return None
    return list(zip(bodies, old_messages, new_messages, strict=True))


def _removal(text: str, entry: FieldEntry) -> _TextEdit:
    """Remove an entry, and its line if nothing else is on it."""
    line_start = text.rfind("\n", 0, entry.start) + 1
    rest = _SPACE.match(text, entry.end)
    assert rest is not None
    if text[rest.end() : rest.end() + 1] == "\n" and not text[line_start : entry.start].strip():
        return line_start, rest.end() + 1, ""
    return entry.start, rest.end(), ""


def _insertion(text: str, body: Body, last: FieldEntry | None, message: Message, field: FieldDescriptor) -> _TextEdit:
    """Insert a field after the last one of its message, or into a message without fields."""
    if last is None:
        return body.end, body.end, f"{_field_text(message, field)} "
    rest = _REST_OF_LINE.match(text, last.end)
    if rest is None:  # the line continues with the end of the message
        return last.end, last.end, f" {_field_text(message, field)}"
    indent = _indent(text, last.start)
    return rest.end(), rest.end(), f"\n{indent}{_field_text(message, field, indent)}"


def _indent(text: str, position: int) -> str:
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line[: len(line) - len(line.lstrip())]


def _field_text(message: Message, field: FieldDescriptor, indent: str | None = None) -> str:
    """Format one field of a message, on one line without `indent`, else with its further lines indented."""
    single = type(message)()
    if field.is_repeated:
        getattr(single, field.name).MergeFrom(getattr(message, field.name))
    elif is_message(field):
        getattr(single, field.name).CopyFrom(getattr(message, field.name))
        getattr(single, field.name).SetInParent()
    else:
        setattr(single, field.name, getattr(message, field.name))
    is_line = indent is None
    text = text_format.MessageToString(
        single, as_utf8=True, as_one_line=is_line, use_short_repeated_primitives=True
    ).strip()
    return str(text) if is_line else str(text).replace("\n", f"\n{indent}")
