"""Every example config is valid and is trained by an integration test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tzrec.config.canonical import format_text
from tzrec.config.check import check
from tzrec.config.load import dump_config, load_config, load_source

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "examples" / "configs").glob("*.config"))


def test_integration_test_covers_all_example_configs() -> None:
    tree = ast.parse((ROOT / "tests" / "integration" / "test_examples.py").read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert "*.config" in texts
    assert CONFIGS, "examples/configs is empty"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_example_config_is_valid_and_survives_saving(path: Path, tmp_path: Path) -> None:
    source = load_source(str(path))
    assert [str(problem) for problem in check(source)] == []
    config = source.config
    saved_path = tmp_path / "pipeline.config"
    saved_path.write_text(dump_config(config))
    assert load_config(str(saved_path)) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_example_config_is_in_the_canonical_layout(path: Path) -> None:
    assert format_text(path.read_text()) == path.read_text(), f"run: tzrec format {path}"
