"""Private names of other packages: only `tzrec/torchrec_adapter.py` uses them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.fixtures.package_modules import PACKAGE, package_modules

ADAPTER = PACKAGE / "torchrec_adapter.py"

PUBLIC = {"_exit", "_replace", "_asdict", "_fields"}
"""Names with an underscore that the standard library documents: `os._exit` and the methods of named tuples."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def defined_names(tree: ast.AST) -> set[str]:
    """Private names that a module or class defines: functions, classes, variables and attributes of `self`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            names.add(node.attr)
    return {name for name in names if is_private(name)}


def _is_self(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def class_names(trees: list[ast.Module]) -> dict[str, set[str]]:
    """Map each class of the package to the private names that it and its own base classes define."""
    nodes = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    names: dict[str, set[str]] = {}

    def collect(name: str) -> set[str]:
        if name not in names:
            node = nodes[name]
            names[name] = defined_names(node)
            for base in node.bases:
                parent = ast.unparse(base).partition("[")[0].rpartition(".")[2]
                if parent in nodes:
                    names[name] |= collect(parent)
        return names[name]

    return {name: collect(name) for name in nodes}


def foreign_names(tree: ast.Module, classes: Mapping[str, set[str]]) -> Iterator[str]:
    """Private names of other modules and classes that a module uses, each as `line: expression`."""
    own = defined_names(tree)
    allowed: dict[ast.AST, set[str]] = defaultdict(set)  # attributes of self, by class names around them
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for inner in ast.walk(node):
                allowed[inner] |= classes[node.name]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if node.attr not in (allowed[node] if _is_self(node.value) else own):
                yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if any(map(is_private, alias.name.split("."))):
                    yield f"{node.lineno}: import {alias.name}"
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if any(map(is_private, f"{node.module}.{alias.name}".split("."))):
                    yield f"{node.lineno}: from {node.module} import {alias.name}"


TREES = {path: ast.parse(path.read_text()) for path in package_modules()}
CLASSES = class_names(list(TREES.values()))


@pytest.mark.parametrize("path", sorted(TREES), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_use_no_private_name_of_others(path: Path) -> None:
    if path != ADAPTER:
        assert list(foreign_names(TREES[path], CLASSES)) == []


def test_adapter_uses_private_names() -> None:
    assert len(list(foreign_names(TREES[ADAPTER], CLASSES))) > 20


@pytest.mark.parametrize(
    "source",
    [
        "import torch._inductor",
        "from torch._inductor import exc",
        "from torch.distributed._shard.sharded_tensor import Shard",
        "from tzrec.cli import _hidden",
        "def f(x): return x._lookups",
        "class A(Other):\n    def f(self): return self._lookups",
        "class A:\n    def f(self): return super()._lookups",
    ],
)
def test_foreign_names_finds_private_name(source: str) -> None:
    tree = ast.parse(source)
    assert len(list(foreign_names(tree, class_names([tree])))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos._exit(1)",
        "class A:\n    def __init__(self): self._x = 1\n    def join(self, other): return self._x + other._x",
        "class A:\n    _x: int\nclass B(A):\n    def f(self): return self._x",
        "def f(pair): return pair._replace(a=1).__class__",
    ],
)
def test_foreign_names_accepts_own_and_documented_names(source: str) -> None:
    tree = ast.parse(source)
    assert list(foreign_names(tree, class_names([tree]))) == []
