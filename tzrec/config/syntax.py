"""Syntax tree of protobuf text format, with locations.

The tree is independent of the schema: `parser.py` turns it into a message, and therefore can continue after a problem.
Only text that cannot be parsed into a tree is a syntax error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from google.protobuf import text_encoding

MAX_DEPTH = 100
_CLOSE = {"{": "}", "<": ">"}
_TOKEN = re.compile(
    r"""(?P<skip>(?:[^\S\n]|\#[^\n]*)+)
    |(?P<newline>\n)
    |(?P<word>[A-Za-z_][0-9A-Za-z_+-]*)
    |(?P<number>(?:[0-9+-]|\.[0-9])[0-9A-Za-z_.+-]*)
    |(?P<string>"(?:[^"\n\\]|\\.)*"|'(?:[^'\n\\]|\\.)*')
    |(?P<sign>[{}<>\[\]:,;])
    |(?P<open_string>["'])
    |(?P<other>.)""",
    re.VERBOSE,
)


class TextSyntaxError(Exception):
    """Syntax error of protobuf text format, at `line:column` (both from 1)."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Token:
    """Token of the text: a word, number, string, sign or the end."""

    kind: str
    text: str
    line: int
    column: int
    start: int


@dataclass(frozen=True)
class Atom:
    """Scalar of the text, `[start:end]`: a word, a number or a string; `value` is the unescaped string."""

    kind: str
    text: str
    line: int
    column: int
    value: bytes = b""
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class Comment:
    """Comment of the text, from its `#` to the end of the line."""

    text: str
    start: int
    end: int


@dataclass
class Body:
    """Entries between `{` and `}`, which are at `start` and `end` of the text, or of the whole file."""

    line: int
    column: int
    start: int = 0
    end: int = 0
    entries: list[FieldEntry] = field(default_factory=list)


@dataclass
class FieldEntry:
    """Entry `name: value`, `name { ... }` or `name: [value, ...]`, `[start:end]` in the text."""

    name: str
    line: int
    column: int
    values: list[Atom | Body]
    listed: bool
    start: int
    end: int


def parse_tree(text: str) -> Body:
    """Parse a text into a syntax tree.

    Raises:
        TextSyntaxError: The text is not protobuf text format.
    """
    return _TextParser(text).file()


def comments(text: str) -> list[Comment]:
    """List the comments of a text that `parse_tree` accepts."""
    matches = [match for match in _TOKEN.finditer(text) if match["skip"] and "#" in match["skip"]]
    starts = [match.start() + match["skip"].index("#") for match in matches]
    return [Comment(text[a : match.end()].rstrip(), a, match.end()) for a, match in zip(starts, matches, strict=True)]


def literals(text: str) -> list[str]:
    """List the adjacent string literals that a string consists of."""
    return [match["string"] for match in _TOKEN.finditer(text) if match["string"]]


def _tokens(text: str) -> Iterator[Token]:
    line, start = 1, 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "newline":
            line, start = line + 1, match.end()
        elif kind != "skip":
            yield Token(kind, match.group(), line, match.start() - start + 1, match.start())
    yield Token("end", "", line, len(text) - start + 1, len(text))


class _TextParser:
    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self._token = next(self._rest)
        self._end = 0  # of the last token that was consumed
        self._depth = 0

    def file(self) -> Body:
        body = Body(1, 1)
        while self._token.kind != "end":
            body.entries.append(self._entry())
        body.end = self._token.start
        return body

    def _next(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._token, self._end = next(self._rest), token.start + len(token.text)
        return token

    def _accept(self, *signs: str) -> Token | None:
        return self._next() if self._token.kind == "sign" and self._token.text in signs else None

    def _error(self, expected: str) -> TextSyntaxError:
        token = self._token
        if token.kind == "open_string":
            return TextSyntaxError("unterminated string", token.line, token.column)
        got = f'"{token.text}"' if token.text else "the end of the text"
        return TextSyntaxError(f"expected {expected}, got {got}", token.line, token.column)

    def _entry(self) -> FieldEntry:
        if self._token.kind not in ("word", "number"):
            # in `path: data/train` the value ends at the slash
            quotes = "; strings need quotes" if self._token.kind == "other" else ""
            raise self._error(f"a field name{quotes}")
        name = self._next()
        colon = self._accept(":")
        listed = self._accept("[") is not None
        values = self._list() if listed else [self._value()]
        if colon is None and any(isinstance(value, Atom) for value in values):
            raise TextSyntaxError(f'expected ":" or "{{" after "{name.text}"', name.line, name.column)
        end = self._end
        self._accept(",", ";")
        return FieldEntry(name.text, name.line, name.column, values, listed, name.start, end)

    def _list(self) -> list[Atom | Body]:
        values: list[Atom | Body] = []
        if self._accept("]"):
            return values
        while True:
            values.append(self._value())
            if self._accept("]"):
                return values
            if not self._accept(","):
                raise self._error('"," or "]"')

    def _value(self) -> Atom | Body:
        opening = self._accept("{", "<")
        if opening is not None:
            return self._body(opening)
        if self._token.kind == "string":
            return self._string()
        if self._token.kind in ("word", "number"):
            token = self._next()
            return Atom(token.kind, token.text, token.line, token.column, b"", token.start, self._end)
        raise self._error("a value")

    def _body(self, opening: Token) -> Body:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TextSyntaxError(f"nested deeper than {MAX_DEPTH} messages", opening.line, opening.column)
        body = Body(opening.line, opening.column, opening.start)
        close = _CLOSE[opening.text]
        while (closing := self._accept(close)) is None:
            if self._token.kind == "end":
                raise TextSyntaxError(
                    f'this "{opening.text}" is never closed by "{close}"', opening.line, opening.column
                )
            body.entries.append(self._entry())
        body.end = closing.start
        self._depth -= 1
        return body

    def _string(self) -> Atom:
        """Parse a string literal, or several adjacent ones, which are concatenated as in C."""
        first, parts = self._token, []
        while self._token.kind == "string":
            token = self._next()
            try:
                parts.append(text_encoding.CUnescape(token.text[1:-1]))
            except ValueError as error:
                raise TextSyntaxError(f"bad escape in {token.text}: {error}", token.line, token.column) from error
        return Atom("string", first.text, first.line, first.column, b"".join(parts), first.start, self._end)
