"""README and docs: the shown config is valid, links resolve, the repository tree is complete."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tzrec.config.check import check
from tzrec.config.load import load_source

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/*/README.md")])


def relative(path: Path) -> str:
    """Return the path of a document from the root of the repository."""
    return str(path.relative_to(ROOT))


def test_config_in_readme_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```proto\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    path = tmp_path / "readme.config"
    path.write_text(text)
    source = load_source(str(path))
    assert [str(problem) for problem in check(source)] == []
    config = source.config
    assert [tower.tower_name for tower in config.model_config.mmoe.task_towers] == ["ctr", "cvr"]
    assert len(config.feature_configs) == 3


def test_repository_layout_lists_every_package_and_module() -> None:
    layout = (ROOT / "CONTRIBUTING.md").read_text()
    packages = {path.parent.name for path in (ROOT / "tzrec").glob("*/*.py") if path.name != "__init__.py"} - {"protos"}
    modules = {path.name for path in (ROOT / "tzrec").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {package for package in packages if f" {package}/" not in layout} == set()
    assert {module for module in modules if f" {module}" not in layout} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_relative_links_resolve(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name != "add_a_model.md"], ids=relative)
def test_paths_in_code_spans_exist(document: Path) -> None:
    paths = re.findall(r"`((?:tzrec|protos|tests|examples|docs|experiments)/[\w./-]+)`", document.read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_imports_in_code_blocks_resolve(document: Path) -> None:
    imports = re.findall(
        r"^\s*(?:>>> )?from (tzrec[\w.]*) import ([\w, ]+?)(?: as \w+)?$", document.read_text(), re.MULTILINE
    )
    names = [(module, name.strip()) for module, listed in imports for name in listed.split(",")]
    missing = [f"{module}.{name}" for module, name in names if not hasattr(importlib.import_module(module), name)]
    assert missing == []
