"""The README tells the truth: its config is good, its links lead somewhere, its tree has every room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tzrec.config.check import check
from tzrec.config.load import load_source

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_shown_config_is_good(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```proto\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    path = tmp_path / "readme.config"
    path.write_text(text)
    source = load_source(str(path))
    assert [str(problem) for problem in check(source)] == []
    config = source.config
    assert [tower.tower_name for tower in config.model_config.mmoe.task_towers] == ["ctr", "cvr"]
    assert len(config.feature_configs) == 3


def test_the_tree_has_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "tzrec").glob("*/*.py") if path.name != "__init__.py"} - {"protos"}
    files = {path.name for path in (ROOT / "tzrec").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {room for room in rooms if f" {room}/" not in README} == set()
    assert {file for file in files if f" {file}" not in README} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
