"""A file fits in a head, a function on a screen."""

from __future__ import annotations

import ast
from pathlib import Path

import tzrec

PACKAGE = Path(tzrec.__file__).parent
FILE_LINES = 500
FUNCTION_LINES = 80


def sources() -> dict[str, str]:
    """Path -> text of every module written by hand."""
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")]
    return {str(path): (PACKAGE / path).read_text() for path in files if path.parts[0] != "protos"}


def long_functions(source: str) -> list[tuple[str, int]]:
    """Functions over the limit with their lengths, docstring and decorators included."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    lengths = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [(name, length) for name, length in lengths if length > FUNCTION_LINES]


def test_files() -> None:
    assert {path: len(text.splitlines()) for path, text in sources().items() if text.count("\n") > FILE_LINES} == {}


def test_functions() -> None:
    long = {path: long_functions(text) for path, text in sources().items()}
    assert {path: found for path, found in long.items() if found} == {}


def test_the_ruler_measures() -> None:
    body = "".join(f"    x = {i}\n" for i in range(FUNCTION_LINES))
    assert long_functions(f"def f():\n{body}") == [("f", FUNCTION_LINES + 1)]
    assert long_functions("def f():\n    x = 1\n") == []
