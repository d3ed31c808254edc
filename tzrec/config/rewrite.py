"""Changing fields in the text of a config, so that comments, order and layout of all the rest stay."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.protobuf import text_encoding

from tzrec.config.edit_path import PathSegment, parse_path
from tzrec.config.syntax import Body, parse_tree

_REST_OF_LINE = re.compile(r"[ \t,;]*(?:#[^\n]*)?(?=\n|\Z)")


def rewrite(text: str, changes: Mapping[str, object]) -> str:
    """A config text with some fields set anew.

    Args:
        text: protobuf text format without mistakes.
        changes: path -> value; all but the last field of a path stand in the text.

    Raises:
        LookupError: a message on the way does not stand in the text.
    """
    tree = parse_tree(text)
    edits: list[tuple[int, int, str]] = []
    for path, value in changes.items():
        *way, last = parse_path(path)
        edits += _edits(text, _find(tree, way), last.name, value)
    pieces, at = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[0]):
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])


def _find(body: Body, way: list[PathSegment]) -> Body:
    """The message at a path."""
    for step in way:
        values = [value for entry in body.entries if entry.name == step.name for value in entry.values]
        at = step.select if isinstance(step.select, int) else 0
        found = values[at] if at < len(values) else None
        if not isinstance(found, Body):
            raise LookupError(step.name)
        body = found
    return body


def _edits(text: str, body: Body, name: str, value: object) -> list[tuple[int, int, str]]:
    """(start, end, what to put there): the first entry of the field replaced and others removed, or a new one."""
    new = f"{name}: {_written(value)}"
    old = [entry for entry in body.entries if entry.name == name]
    if old:
        return [(entry.start, entry.end, new if entry is old[0] else "") for entry in old]
    if not body.entries:
        return [(body.end, body.end, f"{new} ")]
    last = body.entries[-1]
    rest = _REST_OF_LINE.match(text, last.end)
    if rest is None:  # something else stands on its line
        return [(last.end, last.end, f" {new}")]
    before = text[text.rindex("\n", 0, last.start) + 1 : last.start] if "\n" in text[: last.start] else ""
    indent = re.match(r"\s*", before)
    return [(rest.end(), rest.end(), f"\n{indent[0] if indent else ''}{new}")]


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, str):
        escaped = text_encoding.CEscape(value.encode(), as_utf8=True)
        return f'"{escaped}"'
    return f"{value:.9g}" if isinstance(value, float) else str(value)
