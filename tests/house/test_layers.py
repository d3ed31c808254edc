"""Import layers of the package: a module imports from lower layers only, as described in CONTRIBUTING.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.package_modules import PACKAGE, package_modules

# (layer, position in the layer): a module imports from its own package, a lower layer, or a lower position of
# its layer. Packages of equal rank do not import each other.
RANK = {
    "errors": (0, 0),
    "formatting": (0, 0),
    "version": (0, 0),
    "protos": (0, 0),
    "torchrec_adapter": (0, 0),
    "env": (0, 1),
    "live_line": (0, 1),
    "log": (0, 2),
    "registry": (0, 3),
    "storage": (0, 3),
    "config": (0, 4),
    "ops": (1, 0),
    "modules": (1, 1),
    "features": (1, 1),
    "data": (2, 0),
    "tables": (3, 0),
    "embedding": (3, 1),
    "losses": (3, 0),
    "metrics": (3, 0),
    "heads": (4, 0),
    "models": (5, 0),
    "optim": (6, 0),
    "distributed": (6, 1),
    "checkpoint": (6, 2),
    "retrieval": (6, 3),
    "serving": (6, 4),
    "report": (7, 0),
    "profile": (7, 1),
    "run": (7, 2),
    "encoding": (7, 2),
    "migration": (7, 2),
    "server": (7, 3),
    "tuning": (7, 3),
    "client": (7, 2),
}
COMMANDS = {
    "__init__",
    "__main__",
    "api",
    "cli",
    "train_eval",
    "tune",
    "eval",
    "predict",
    "export",
    "serve",
    "replay",
    "materialize",
    "check",
    "new",
    "format",
    "diff",
    "schema",
    "plan",
    "index",
    "inspect",
    "demo",
    "doctor",
    "completion",
    "ray",
    "spark",
    "tools",
}
TOP = (8, 0)

PYARROW = {"features", "data", "retrieval", "serving"}
DISTRIBUTED = {"tables", "torchrec_adapter"}  # and every package from layer 6 on


def part(path: Path) -> str:
    """Return the package or top-level module of tzrec that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def rank(name: str) -> tuple[int, int]:
    """Return the layer and the position of a package or top-level module."""
    return TOP if name in COMMANDS else RANK[name]


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the full name of every import, also inside functions: `from a.b import c` is a.b.c."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(name: str, source: str) -> list[str]:
    """List the violations in the source of a module that belongs to the package or top-level module `name`."""
    tree = ast.parse(source)
    messages = []
    for full in imports(tree):
        words = full.split(".")
        if words[0] == "tzrec" and len(words) > 1:
            target = words[1]
            is_ranked = target in RANK or target in COMMANDS
            if is_ranked and target != name and rank(target) >= rank(name) and rank(name) != TOP:
                messages.append(f"{name} imports {full}, which is not in a lower layer")
        if f"{full}.".startswith("torch.distributed.") and name not in DISTRIBUTED and rank(name) < (6, 0):
            messages.append(f"{name} imports torch.distributed; allowed in tables and from layer 6 on")
        if words[0] == "pyarrow" and name not in PYARROW and rank(name) < (7, 0):
            messages.append(f"{name} imports pyarrow; allowed in features, data, retrieval and serving")
        if name in ("ops", "modules") and any(word.endswith("_pb2") for word in words):
            messages.append(f"{name} imports {full}; blocks take plain values, not messages")
        if words[0] in ("pickle", "dill", "marshal", "shelve") and not _restricts_classes(tree):
            messages.append(f"{name} imports {words[0]}, which runs code named by a file")
    return messages + [text for node in ast.walk(tree) for text in _forbidden_uses(name, node)]


def _restricts_classes(tree: ast.AST) -> bool:
    """Return True for an unpickler with a list of allowed classes: it overrides find_class and has no plain load."""
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    plain = {"pickle.load", "pickle.loads", "pickle.Unpickler"}
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return "find_class" in functions and not calls & plain


def _forbidden_uses(name: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
        if node.attr in ("environ", "getenv", "putenv", "environb") and name != "env":
            yield f"{name} line {node.lineno}: os.{node.attr}; only env.py reads the environment"
    elif isinstance(node, ast.ImportFrom) and node.module == "os":
        if any(alias.name in ("environ", "getenv") for alias in node.names) and name != "env":
            yield f"{name} line {node.lineno}: from os import environ; only env.py reads the environment"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
        yield f"{name} line {node.lineno}: {node.func.id}()"


@pytest.mark.parametrize("path", package_modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_lower_layers_only(path: Path) -> None:
    assert violations(part(path), path.read_text()) == []


def test_every_package_has_a_layer() -> None:
    assert {part(path) for path in package_modules()} <= set(RANK) | COMMANDS


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("features", "from tzrec.data.batch import Batch"),
        ("data", "import tzrec.models.mmoe"),
        ("losses", "from tzrec.metrics.auc import AUC"),
        ("checkpoint", "from tzrec.serving import package"),
        ("config", "def f():\n    from tzrec import cli"),
        ("models", "import torch.distributed as dist"),
        ("embedding", "from torch import distributed"),
        ("embedding", "from torch.distributed import all_reduce"),
        ("metrics", "import pyarrow as pa"),
        ("modules", "from tzrec.protos import module_pb2"),
        ("ops", "from tzrec.protos.module_pb2 import MLP"),
        ("run", "import os\nos.environ['A'] = '1'"),
        ("run", "import os\nx = os.getenv('A')"),
        ("run", "from os import environ"),
        ("features", "eval('1')"),
        ("checkpoint", "import pickle"),
        ("checkpoint", "import pickle\ndef find_class(): pass\npickle.load(f)"),
    ],
)
def test_violations_finds_violation(name: str, source: str) -> None:
    assert len(violations(name, source)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("data", "from tzrec.features.column import Column\nimport pyarrow"),
        ("serving", "from tzrec.checkpoint import store"),
        ("train_eval", "from tzrec import cli, env\nimport torch.distributed"),
        ("env", "import os\nos.environ.get('A')"),
        ("models", "def f(m):\n    m.eval()"),
    ],
)
def test_violations_accepts_valid_module(name: str, source: str) -> None:
    assert violations(name, source) == []
