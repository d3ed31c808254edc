"""Reference of the Python API: it is up to date, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import python_api

import tzrec
from tests.test_api import write_files

PAGE = python_api.PAGE.read_text()


def clicks(num_rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 20, num_rows)
    clk = (rng.random(num_rows) < users / 20).astype(int)
    buy = clk * rng.integers(0, 2, num_rows)
    columns = {"user": [f"u{user}" for user in users], "price": rng.random(num_rows), "clk": clk, "buy": buy}
    return pa.table(columns)


def test_reference_is_up_to_date() -> None:
    assert python_api.updated(PAGE) == PAGE, "run: python tools/python_api.py"


def test_reference_has_each_function_and_its_arguments() -> None:
    functions = [name for name in tzrec.__all__ if name[0].islower()]
    assert set(functions) == set(python_api._FUNCTIONS)
    assert all(f"\n## tzrec.{name}\n" in PAGE for name in functions)
    assert "| `train` | frame or comma list of globs; replaces `train_input_path` of the config." in PAGE
    assert "    model_dir: str = 'experiments/first',\n" in PAGE


def test_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    names: dict[str, Any] = {"frame": clicks(800, 1), "later": clicks(200, 2)}
    head = PAGE.partition(python_api.BEGIN)[0]
    first, second = re.findall(r"^```python\n(.*?)^```", head, re.DOTALL | re.MULTILINE)
    exec(first, names)
    assert names["run"].metrics["auc_clk"] > 0.6
    assert names["scores"].num_rows == 200
    exec(second, names)
    assert len(names["history"].losses) > 0
