"""Canonical layout of the text of a config: indentation, spaces, quotes and empty lines; comments stay where they are.

A message that is on one line stays there while it fits, and a list keeps its lines. The layout depends on nothing but
the text, so that a text of any root is laid out, also one with unknown fields.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tzrec.config.syntax import Atom, Body, Comment, FieldEntry, comments, literals, parse_tree

_WIDTH = 120
_INDENT = "  "
_ESCAPED_QUOTE = re.compile(r"[\"'\\]")


def format_text(text: str) -> str:
    """Return a text with the same fields and comments in the canonical layout; doing so again changes nothing.

    Raises:
        TextSyntaxError: The text is not protobuf text format.

    Example:
        format_text("mmoe{num_expert:3}  ") == "mmoe { num_expert: 3 }\\n"
    """
    tree = parse_tree(text)
    layout = _Layout(text)
    layout.items(tree.entries, len(text), "", 0)
    return "".join(f"{line}\n" for line in layout.lines)


class _Layout:
    """Lines written so far, and the comments that are not written yet."""

    def __init__(self, text: str) -> None:
        self.lines: list[str] = []
        self._text = text
        self._comments = comments(text)[::-1]
        self._end = 0  # of the last item in the text

    def items(self, entries: Sequence[FieldEntry], end: int, indent: str, first: int) -> None:
        """Write the entries and comments of a message that ends at `end`; `first` is the number of lines before it."""
        for entry in entries:
            body = self._single_body(entry)
            # a comment between a name and its value goes before both
            self._own_lines(entry.end if body is None and not entry.listed else self._opening(entry), indent, first)
            self._empty_line(entry.start, first)
            self._entry(entry, indent)
            self._end = entry.end
            self._trailing()
        self._own_lines(end, indent, first)

    def _entry(self, entry: FieldEntry, indent: str) -> None:
        source = self._text[entry.start : entry.end]
        line = indent + _one_line(entry, self._text)
        body = self._single_body(entry)
        is_empty = (body is not None or entry.listed) and not (body.entries if body else entry.values)
        fits = "\n" not in source and (len(line) <= _WIDTH or body is None)
        if fits or (is_empty and not self._is_comment_before(entry.end)):
            self.lines.append(line)
        elif body is not None:
            self._body(f"{indent}{entry.name} {{", body, indent, "}")
        elif entry.listed:
            self._list(entry, indent)
        else:
            pieces = [_literal(piece) for piece in literals(source[len(entry.name) :])] if "\n" in source else []
            if len(pieces) < 2:
                self.lines.append(line)
                return
            self.lines.append(f"{indent}{entry.name}: {pieces[0]}")
            self.lines += [f"{indent}{_INDENT}{piece}" for piece in pieces[1:]]

    def _body(self, opening: str, body: Body, indent: str, closing: str) -> None:
        """Write a message on several lines."""
        self.lines.append(opening)
        self._end = body.start + 1
        self._trailing()
        self.items(body.entries, body.end, indent + _INDENT, len(self.lines))
        self.lines.append(indent + closing)
        self._end = body.end + 1

    def _list(self, entry: FieldEntry, indent: str) -> None:
        """Write a list on the lines that it has in the text."""
        inner, last = indent + _INDENT, entry.values[-1] if entry.values else None
        self.lines.append(f"{indent}{entry.name}: [")
        self._end, first = self._opening(entry), len(self.lines)
        self._trailing()
        is_new_line = True
        for value in entry.values:
            is_new_line |= "\n" in self._text[self._end : value.start] or self._is_comment_before(value.start)
            self._own_lines(value.start, inner, first)
            self._empty_line(value.start, first)
            comma = "" if value is last else ","
            if isinstance(value, Body) and "\n" in self._text[value.start : value.end]:
                self._body(f"{inner}{{", value, inner, "}" + comma)
            elif is_new_line:
                self.lines.append(f"{inner}{_value(value, self._text)}{comma}")
            else:
                self.lines[-1] += f" {_value(value, self._text)}{comma}"
            self._end = value.end + isinstance(value, Body)
            is_new_line = self._trailing() or (isinstance(value, Body) and self.lines[-1].startswith(f"{inner}}}"))
        self._own_lines(entry.end, inner, first)
        self.lines.append(f"{indent}]")

    def _opening(self, entry: FieldEntry) -> int:
        """Return the position after which comments of an entry are within its value."""
        body = self._single_body(entry)
        if body is not None:
            return body.start + 1
        position = entry.start + len(entry.name)
        for comment in reversed(self._comments):
            bracket = self._text.find("[", position, comment.start)
            if bracket >= 0 or comment.start >= entry.end:
                break
            position = max(position, comment.end)
        return self._text.index("[", position) + 1 if entry.listed else position

    def _single_body(self, entry: FieldEntry) -> Body | None:
        value = entry.values[0] if entry.values and not entry.listed else None
        return value if isinstance(value, Body) else None

    def _is_comment_before(self, end: int) -> bool:
        return bool(self._comments) and self._comments[-1].start < end

    def _own_lines(self, end: int, indent: str, first: int) -> None:
        """Write the comments before a position, each on a line of its own."""
        while self._is_comment_before(end):
            comment = self._comments.pop()
            self._empty_line(comment.start, first)
            self.lines.append(indent + comment.text)
            self._end = max(self._end, comment.end)

    def _trailing(self) -> bool:
        """Write the comment that follows the last item on its line, if there is one."""
        if not self._comments or "\n" in self._text[self._end : self._comments[-1].start]:
            return False
        rest = self._text[self._end : self._comments[-1].start]
        if rest.strip(" \t\r\f\v,;"):
            return False
        comment: Comment = self._comments.pop()
        self.lines[-1] += f"  {comment.text}"
        self._end = max(self._end, comment.end)
        return True

    def _empty_line(self, start: int, first: int) -> None:
        """Write an empty line if the text has one before a position, and the message has lines."""
        if len(self.lines) > first and self._text.count("\n", self._end, start) > 1:
            self.lines.append("")


def _one_line(entry: FieldEntry, text: str) -> str:
    if entry.listed:
        return f"{entry.name}: [{', '.join(_value(value, text) for value in entry.values)}]"
    (value,) = entry.values
    return f"{entry.name}{'' if isinstance(value, Body) else ':'} {_value(value, text)}"


def _value(value: Atom | Body, text: str) -> str:
    """Return a value on one line."""
    if isinstance(value, Body):
        entries = " ".join(_one_line(entry, text) for entry in value.entries)
        return f"{{ {entries} }}" if entries else "{}"
    if value.kind != "string":
        return value.text
    return " ".join(map(_literal, literals(text[value.start : value.end])))


def _literal(text: str) -> str:
    """Return a string literal in double quotes, unless it has quotes or escapes inside."""
    inner = text[1:-1]
    return text if _ESCAPED_QUOTE.search(inner) else f'"{inner}"'
