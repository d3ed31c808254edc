"""Write the reference of docs/python_api.md: signatures and docstrings of the Python API.

python tools/python_api.py
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tzrec import api, errors
from tzrec.errors import Problem
from tzrec.profile.suggest import SuggestResult
from tzrec.run.listeners import Listener
from tzrec.serving.predictor import Predictor

PAGE = Path(__file__).parents[1] / "docs" / "python_api.md"
BEGIN, END = "<!-- reference: begin (python tools/python_api.py) -->", "<!-- reference: end -->"
_FUNCTIONS = ("init", "build_config", "check", "train", "evaluate", "export", "predict", "load", "tune")
_CLASSES: tuple[type[Any], ...] = (api.Run, Predictor, Listener, SuggestResult, Problem)
_WIDTH = 120
_LISTS = {"Args": "Argument", "Attributes": "Attribute", "Raises": "Error"}
"""Section of a docstring with names -> the head of its table."""
_ENTRY = re.compile(r"([\w, ]+): (.*)", re.DOTALL)


def reference() -> str:
    """Return the text of the reference."""
    parts = [_function(f"tzrec.{name}", getattr(api, name)) for name in _FUNCTIONS]
    parts += [_class(kind) for kind in _CLASSES]
    lines = (errors.__doc__ or "").strip().splitlines()[2:]
    return "\n\n".join([*parts, "## Errors", "All derive from `tzrec.TzrecError`.", f"```\n{chr(10).join(lines)}\n```"])


def updated(page: str) -> str:
    """Return the text of the page with this reference between its marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{reference()}\n\n{END}{tail}"


def _function(name: str, function: Any, level: str = "##") -> str:
    title = name.partition("(")[0]
    return "\n\n".join([f"{level} {title}", f"```python\n{_signature(title, function)}\n```", *_docstring(function)])


def _class(kind: type[Any]) -> str:
    head = [f"## {kind.__name__}", f"`{kind.__module__}.{kind.__name__}`", *_docstring(kind)]
    methods = [
        _function(f"{kind.__name__}.{name}", member, "###")
        for name, member in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(member)
    ]
    return "\n\n".join([*head, *methods])


def _signature(name: str, function: Any) -> str:
    """Return `name(parameter: type = default, ...) -> type`, one parameter per line where it is long."""
    signature = inspect.signature(function)
    parameters = [_parameter(item) for item in signature.parameters.values() if item.name != "self"]
    result = signature.return_annotation
    line = f"{name}({', '.join(parameters)}) -> {result}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f") -> {result}"])


def _parameter(item: inspect.Parameter) -> str:
    text = f"{item.name}: {item.annotation}"
    return text if item.default is item.empty else f"{text} = {item.default!r}"


def _docstring(thing: Any) -> Iterator[str]:
    """Yield the paragraphs, tables and examples of a docstring."""
    text = inspect.getdoc(thing) or ""
    head, *sections = re.split(r"^(Args|Attributes|Returns|Raises|Example):\n", text, flags=re.MULTILINE)
    yield head.strip()
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        body = textwrap.dedent(body).strip()
        if title == "Example":
            yield f"```python\n{body}\n```"
        elif title in _LISTS:
            rows = [_row(entry) for entry in re.split(r"\n(?=\S)", body)]
            yield "\n".join([f"| {_LISTS[title]} | |", "| --- | --- |", *rows])
        else:
            yield textwrap.fill(f"Returns: {body}", _WIDTH, break_long_words=False, break_on_hyphens=False)


def _row(entry: str) -> str:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        return f"| | {_one_line(entry)} |"
    names = ", ".join(f"`{name.strip()}`" for name in match[1].split(","))
    return f"| {names} | {_one_line(match[2])} |"


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
