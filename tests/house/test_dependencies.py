"""What the code imports is what the package declares: nothing missing, nothing for show."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# name that is imported -> name that is installed, where they differ
DISTRIBUTION = {"google": "protobuf", "fbgemm_gpu": "fbgemm-gpu-cpu", "grpc_tools": "grpcio-tools"}

# needed by torchrec, which is installed without its dependencies, by torch.utils.tensorboard, or by Ray
FOR_OTHERS = {"tensordict", "pyre-extensions", "tqdm", "tensorboard", "aiohttp"}
# installed by hand, see pyproject.toml
BY_HAND = {"torchrec"}


def imported() -> set[str]:
    """Distributions that the modules of tzrec import, wherever in the file."""
    roots: set[str] = set()
    for path in (ROOT / "tzrec").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                roots.add(node.module.split(".")[0])
    return {DISTRIBUTION.get(root, root) for root in roots - set(sys.stdlib_module_names) - {"tzrec"}}


def declared(name: str) -> set[str]:
    """The distributions of a list in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text()
    found = re.search(rf"^{name} = \[(.*?)\]$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return set(re.findall(r'"([\w-]+)', found[1]))


def test_what_is_imported_is_declared() -> None:
    optional = declared("cpu") | declared("text") | declared("ray") | declared("dev")
    assert imported() - declared("dependencies") - optional - BY_HAND == set()


def test_only_tools_need_what_developers_have() -> None:
    assert (imported() & declared("dev")) - declared("dependencies") <= {"grpcio-tools"}


def test_what_is_declared_is_imported() -> None:
    assert (declared("dependencies") | declared("text") | declared("ray")) - imported() - FOR_OTHERS == set()
