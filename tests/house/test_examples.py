"""No example config goes untested."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tzrec.config.load import dump_config, load_config

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "examples" / "configs").glob("*.config"))


def test_the_integration_test_takes_all_of_them() -> None:
    tree = ast.parse((ROOT / "tests" / "integration" / "test_examples.py").read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert "*.config" in texts
    assert CONFIGS, "examples/configs is empty"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_an_example_is_good_text_that_survives_saving(path: Path, tmp_path: Path) -> None:
    config = load_config(str(path))
    saved = tmp_path / "pipeline.config"
    saved.write_text(dump_config(config))
    assert load_config(str(saved)) == config
