"""No tensor is made of Python values in a forward pass: traced, it would be a constant that a package cannot load.

`torch.tensor([1, 2])` belongs in the constructor, as a buffer. The result of `torch.arange` and the like is computed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from tests.fixtures.package_modules import PACKAGE, package_modules

ROOMS = ("ops", "modules", "embedding", "heads", "models")
ROOTS = ("forward", "predict")
FROM_VALUES = ("tensor", "as_tensor", "asarray", "new_tensor", "from_numpy", "Tensor", "FloatTensor", "LongTensor")


class Function(NamedTuple):
    """Function or method.

    Attributes:
        module: its module.
        node: its tree.
    """

    module: str
    node: ast.FunctionDef


def functions_by_name(trees: Mapping[str, ast.Module]) -> dict[str, list[Function]]:
    """All functions and methods of modules; the type of an object, and so the class of a method, is not known."""
    functions: dict[str, list[Function]] = {}
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                functions.setdefault(node.name, []).append(Function(module, node))
    return functions


def called_names(node: ast.FunctionDef) -> Iterator[str]:
    """Names of the functions and methods that a function calls, of any object."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name | ast.Attribute):
            yield call.func.id if isinstance(call.func, ast.Name) else call.func.attr


def constants(sources: Mapping[str, str]) -> list[str]:
    """List the tensors that a forward pass, or a function that it calls, makes of Python values."""
    functions = functions_by_name({module: ast.parse(source) for module, source in sources.items()})
    reached, names = set(), list(ROOTS)
    while names:
        name = names.pop()
        if name in functions and name not in reached:
            reached.add(name)
            names += [called for function in functions[name] for called in called_names(function.node)]
    return sorted(
        f"{function.module}.{name}: {ast.unparse(call)}"
        for name in reached
        for function in functions[name]
        for call in ast.walk(function.node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in FROM_VALUES
    )


def test_no_forward_pass_makes_tensors_of_python_values() -> None:
    paths = {path: path.relative_to(PACKAGE).with_suffix("").parts for path in package_modules()}
    sources = {".".join(parts): path.read_text() for path, parts in paths.items() if parts[0] in ROOMS}
    assert len(sources) > 100
    assert constants(sources) == []


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n  def forward(self, x):\n    return x * torch.tensor([1.0, 2.0])",
        "class A:\n  def forward(self, x): return self.half(x)\n  def half(self, x): return x.new_tensor([0.5])",
        "def half(x):\n  return x * torch.as_tensor((0.5,))\nclass A:\n  def forward(self, x):\n    return half(x)",
    ],
    ids=["itself", "method", "function"],
)
def test_constants_finds_violations(source: str) -> None:
    assert len(constants({"a": source})) == 1


def test_constants_allows_buffers_and_computed_tensors() -> None:
    source = """
class A:
    def __init__(self):
        self.register_buffer("scale", torch.tensor([1.0, 2.0]))
    def forward(self, x):
        return x * self.scale + torch.arange(2) + x.new_zeros(2)
"""
    assert constants({"a": source}) == []
