"""Declared dependencies are exactly those that the code imports."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# import name -> distribution name, if they differ
DISTRIBUTION = {
    "google": "protobuf",
    "sklearn": "scikit-learn",
    "re2": "google-re2",
    "fbgemm_gpu": "fbgemm-gpu-cpu",
    "grpc_tools": "grpcio-tools",
    "faiss": "faiss-cpu",
    "grpc": "grpcio",
    "prometheus_client": "prometheus-client",
    "mlflow": "mlflow-skinny",
}

# required by torchrec, which is installed without its dependencies, by torch.utils.tensorboard, by Ray or Spark, by
# fsspec for the URLs of a store, by uvicorn, which is slow without them, or by samplers of Optuna
INDIRECT = {
    *("tensordict", "pyre-extensions", "tqdm", "tensorboard", "aiohttp", "pandas", "s3fs", "gcsfs", "adlfs"),
    *("httptools", "uvloop", "scipy"),
}
EXTRAS = (
    "text",
    "tune",
    "mlflow",
    "ray",
    "spark",
    "delta",
    "iceberg",
    "tree",
    "retrieval",
    "serve",
    "redis",
    "lmdb",
    "client",
)
# installed separately, see pyproject.toml
SEPARATE = {"torchrec"}


def imported() -> set[str]:
    """Return the distributions that the modules of tzrec import, also inside functions."""
    roots: set[str] = set()
    for path in (ROOT / "tzrec").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                roots.add(node.module.split(".")[0])
    return {DISTRIBUTION.get(root, root) for root in roots - set(sys.stdlib_module_names) - {"tzrec"}}


def declared(name: str) -> set[str]:
    """Return the distributions of a list in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text()
    entries = re.search(rf"^{name} = \[(.*?)\]$", text, re.DOTALL | re.MULTILINE)
    assert entries is not None
    return set(re.findall(r'"([\w-]+)', entries[1]))


def test_imported_distributions_are_declared() -> None:
    optional = set.union(*map(declared, ("cpu", "dev", *EXTRAS)))
    assert imported() - declared("dependencies") - optional - SEPARATE == set()


def test_development_dependencies_are_imported_by_tools_only() -> None:
    assert (imported() & declared("dev")) - declared("dependencies") <= {"grpcio-tools"}


def test_declared_distributions_are_imported() -> None:
    assert set.union(*map(declared, ("dependencies", *EXTRAS))) - imported() - INDIRECT == set()
