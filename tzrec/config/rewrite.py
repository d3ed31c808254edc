"""Edits of the text of a config that keep comments, order and layout of all other fields."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.protobuf import text_encoding

from tzrec.config.edit_path import PathSegment, parse_path
from tzrec.config.syntax import Body, parse_tree

_REST_OF_LINE = re.compile(r"[ \t,;]*(?:#[^\n]*)?(?=\n|\Z)")


def rewrite(text: str, changes: Mapping[str, object]) -> str:
    """Set fields in the text of a config.

    Args:
        text: valid protobuf text format.
        changes: path -> value; the messages of a path must be in the text, the last field need not be.

    Raises:
        LookupError: A message of a path is not in the text.
    """
    tree = parse_tree(text)
    edits: list[tuple[int, int, str]] = []
    for path, value in changes.items():
        *parents, last = parse_path(path)
        edits += _edits(text, _find(tree, parents), last.name, value)
    pieces, position = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[0]):
        pieces += [text[position:start], new]
        position = end
    return "".join([*pieces, text[position:]])


def _find(body: Body, segments: list[PathSegment]) -> Body:
    """Return the message at a path."""
    for segment in segments:
        values = [value for entry in body.entries if entry.name == segment.name for value in entry.values]
        index = segment.select if isinstance(segment.select, int) else 0
        value = values[index] if index < len(values) else None
        if not isinstance(value, Body):
            raise LookupError(segment.name)
        body = value
    return body


def _edits(text: str, body: Body, name: str, value: object) -> list[tuple[int, int, str]]:
    """Return replacements (start, end, text) that set a field; further entries of the field are removed."""
    new = f"{name}: {_format(value)}"
    old = [entry for entry in body.entries if entry.name == name]
    if old:
        return [(entry.start, entry.end, new if entry is old[0] else "") for entry in old]
    if not body.entries:
        return [(body.end, body.end, f"{new} ")]
    last = body.entries[-1]
    rest = _REST_OF_LINE.match(text, last.end)
    if rest is None:  # the line continues with another field
        return [(last.end, last.end, f" {new}")]
    before = text[text.rindex("\n", 0, last.start) + 1 : last.start] if "\n" in text[: last.start] else ""
    indent = re.match(r"\s*", before)
    return [(rest.end(), rest.end(), f"\n{indent[0] if indent else ''}{new}")]


def _format(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_format, value))}]"
    if isinstance(value, str):
        escaped = text_encoding.CEscape(value.encode(), as_utf8=True)
        return f'"{escaped}"'
    return f"{value:.9g}" if isinstance(value, float) else str(value)
