"""No example config goes untested."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tzrec.config.check import check
from tzrec.config.load import dump_config, load_config, load_source

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "examples" / "configs").glob("*.config"))


def test_the_integration_test_takes_all_of_them() -> None:
    tree = ast.parse((ROOT / "tests" / "integration" / "test_examples.py").read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert "*.config" in texts
    assert CONFIGS, "examples/configs is empty"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_an_example_is_good_text_that_survives_saving(path: Path, tmp_path: Path) -> None:
    source = load_source(str(path))
    assert [str(problem) for problem in check(source)] == []
    config = source.config
    saved = tmp_path / "pipeline.config"
    saved.write_text(dump_config(config))
    assert load_config(str(saved)) == config
