"""README and docs: the shown config is valid, links resolve, the repository tree is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tzrec.config.check import check
from tzrec.config.load import load_source

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/*/README.md")])


def test_config_in_readme_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```proto\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    path = tmp_path / "readme.config"
    path.write_text(text)
    source = load_source(str(path))
    assert [str(problem) for problem in check(source)] == []
    config = source.config
    assert [tower.tower_name for tower in config.model_config.mmoe.task_towers] == ["ctr", "cvr"]
    assert len(config.feature_configs) == 3


def test_repository_tree_lists_every_package_and_module() -> None:
    packages = {path.parent.name for path in (ROOT / "tzrec").glob("*/*.py") if path.name != "__init__.py"} - {"protos"}
    modules = {path.name for path in (ROOT / "tzrec").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {package for package in packages if f" {package}/" not in README} == set()
    assert {module for module in modules if f" {module}" not in README} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
