"""All commands with every example config on synthetic data: check, train, resume, export, serve, predict."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.equal_scores import ROWS_BY_BATCH_SIZE, compare_scores
from tzrec.config.load import load_config
from tzrec.data.synthetic import make_data, make_tables

CONFIGS = sorted((Path(__file__).parents[2] / "examples" / "configs").glob("*.config"))
QUICK = ("deepfm_taobao", "mmoe_taobao")  # one task with narrow tables, and several tasks; the others are slow tests
ROWS = 200
QUICK_ROWS_BY_BATCH_SIZE = {1: 5, 7: 35, 200: 400, 1000: 1000}


def parameters(path: Path, ranks: int) -> object:
    quick = ranks == 1 and path.stem in QUICK
    return pytest.param(path, ranks, id=f"{path.stem}-{ranks}", marks=[] if quick else [pytest.mark.slow])


def launch(command: str, words: list[str], ranks: int = 1) -> None:
    """Run a command: in this process, or under torchrun on several ranks."""
    if ranks == 1:
        assert importlib.import_module(f"tzrec.{command}").main(words) == 0
        return
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"]
    ended = subprocess.run([*torchrun, f"tzrec.{command}", *words], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def score(out: Path, data: Path, ranks: int, *model: str) -> pa.Table:
    """Predict all rows of a folder and read the scores."""
    words = [*model, "--predict_input_path", f"{data}/*.parquet", "--predict_output_path", str(out)]
    launch("predict", words, ranks)
    return pa.concat_tables([pq.read_table(path) for path in sorted(out.glob("part-*.parquet"))])


@pytest.mark.parametrize(("path", "ranks"), [parameters(path, ranks) for ranks in (1, 2) for path in CONFIGS])
def test_example_config_passes_all_commands(path: Path, ranks: int, tmp_path: Path) -> None:
    data, model_dir = tmp_path / "data", tmp_path / "model"
    config = load_config(str(path))
    make_data(config, str(data), rows=ROWS, seed=3)
    edits: dict[str, Any] = {
        **make_tables(config, tmp_path / "tables"),
        "data_config.batch_size": 64 // ranks,
        "data_config.bad_row_policy": "DEFAULT",  # the odd rows below have values that features cannot read
        "train_config.num_steps": 2,
        "train_config.num_epochs": 0,
    }
    words = ["--pipeline_config", str(path), "--model_dir", str(model_dir)]
    words += ["--train_input_path", f"{data}/*.parquet", "--eval_input_path", f"{data}/*.parquet"]

    launch("check", ["--pipeline_config", str(path)])
    launch("train_eval", [*words, "--edit_config_json", json.dumps(edits)], ranks)
    edits["train_config.num_steps"] = 4
    launch("train_eval", [*words, "--edit_config_json", json.dumps(edits), "--continue_train"], ranks)

    saved = ["--pipeline_config", str(model_dir / "pipeline.config")]
    package = tmp_path / "export"
    launch("export", [*saved, "--export_dir", str(package)])
    if ranks == 1:
        num_rows = QUICK_ROWS_BY_BATCH_SIZE if path.stem in QUICK else ROWS_BY_BATCH_SIZE
        comparisons = list(compare_scores(model_dir, package, num_rows))
        assert [comparison for comparison in comparisons if not comparison.is_equal] == []
        assert {1, 7, 200, 1000} <= num_rows.keys() and len(comparisons) >= 3 + 7 * len(num_rows)
    parts = [child.name for child in package.iterdir() if child.is_dir()]
    for part in parts:  # compared with the checkpoint by tests/serving/test_parts.py and by the self-test of the export
        scores = score(tmp_path / f"scores_{part}", data, ranks, "--model_path", f"{package}/{part}")
        assert scores.num_rows == ROWS
    if parts:
        return
    from_checkpoint = score(tmp_path / "a", data, ranks, *saved)
    from_package = score(tmp_path / "b", data, ranks, "--model_path", str(package))
    assert from_checkpoint.num_rows == from_package.num_rows == ROWS
    assert from_checkpoint.column_names == from_package.column_names
    for name in from_checkpoint.column_names:
        expected = from_checkpoint[name].to_numpy()
        bound = 1e-6 * max(1.0, np.abs(expected).max())  # logits are sums of terms of their size
        np.testing.assert_allclose(from_package[name].to_numpy(), expected, rtol=0, atol=bound)
