"""Every example config does the whole job on made-up data: check, train, continue, predict, export, predict again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tzrec import check, export, predict, train_eval
from tzrec.config.load import load_config
from tzrec.data.synth import make_data

CONFIGS = sorted((Path(__file__).parents[2] / "examples" / "configs").glob("*.config"))
QUICK = ("deepfm_taobao", "mmoe_taobao")  # one task with narrow tables, and several tasks; the others are slow tests
ROWS = 200
CASES = [pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else [pytest.mark.slow]) for path in CONFIGS]


def score(out: Path, data: Path, *model: str) -> pa.Table:
    """Predict all rows of a folder and read back what was written."""
    words = [*model, "--predict_input_path", f"{data}/*.parquet", "--predict_output_path", str(out)]
    assert predict.main(words) == 0
    return pa.concat_tables([pq.read_table(path) for path in sorted(out.glob("part-*.parquet"))])


@pytest.mark.parametrize("path", CASES)
def test_example(path: Path, tmp_path: Path) -> None:
    data, model_dir = tmp_path / "data", tmp_path / "model"
    make_data(load_config(str(path)), str(data), rows=ROWS, seed=3)
    edits = {"data_config.batch_size": 64, "train_config.num_steps": 2, "train_config.num_epochs": 0}
    words = ["--pipeline_config", str(path), "--model_dir", str(model_dir)]
    words += ["--train_input_path", f"{data}/*.parquet", "--eval_input_path", f"{data}/*.parquet"]

    assert check.main(["--pipeline_config", str(path)]) == 0
    assert train_eval.main([*words, "--edit_config_json", json.dumps(edits)]) == 0
    edits["train_config.num_steps"] = 4
    assert train_eval.main([*words, "--edit_config_json", json.dumps(edits), "--continue_train"]) == 0

    saved = ["--pipeline_config", str(model_dir / "pipeline.config")]
    package = tmp_path / "export"
    assert export.main([*saved, "--export_dir", str(package)]) == 0
    from_checkpoint = score(tmp_path / "a", data, *saved)
    from_package = score(tmp_path / "b", data, "--model_path", str(package))
    assert from_checkpoint.num_rows == from_package.num_rows == ROWS
    assert from_checkpoint.column_names == from_package.column_names
    for name in from_checkpoint.column_names:
        expected = from_checkpoint[name].to_numpy()
        bound = 1e-6 * max(1.0, np.abs(expected).max())  # logits are sums of terms of their size
        np.testing.assert_allclose(from_package[name].to_numpy(), expected, rtol=0, atol=bound)
