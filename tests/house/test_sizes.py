"""Limits on the length of files and functions."""

from __future__ import annotations

import ast

from tests.fixtures.package_modules import PACKAGE, package_modules

FILE_LINES = 500
FUNCTION_LINES = 80


def sources() -> dict[str, str]:
    """Map the path of every handwritten module to its text."""
    return {str(path.relative_to(PACKAGE)): path.read_text() for path in package_modules()}


def long_functions(source: str) -> list[tuple[str, int]]:
    """List the functions over the limit with their lengths, which include the docstring."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    lengths = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [(name, length) for name, length in lengths if length > FUNCTION_LINES]


def test_files_are_within_limit() -> None:
    assert {path: len(text.splitlines()) for path, text in sources().items() if text.count("\n") > FILE_LINES} == {}


def test_functions_are_within_limit() -> None:
    lengths = {path: long_functions(text) for path, text in sources().items()}
    assert {path: functions for path, functions in lengths.items() if functions} == {}


def test_long_functions_finds_function_over_limit() -> None:
    body = "".join(f"    x = {i}\n" for i in range(FUNCTION_LINES))
    assert long_functions(f"def f():\n{body}") == [("f", FUNCTION_LINES + 1)]
    assert long_functions("def f():\n    x = 1\n") == []
