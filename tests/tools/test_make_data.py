from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tzrec.tools.make_data import main

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "examples/configs/mmoe_features.config")


def test_make_data_writes_both_splits_and_prints_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--pipeline_config", CONFIG, "--out", str(tmp_path), "--train_rows", "30", "--eval_rows", "7"]) == 0
    train, evaluation = (pq.read_table(tmp_path / split) for split in ("train", "eval"))
    assert (train.num_rows, evaluation.num_rows) == (30, 7)
    assert not train.slice(0, 7).equals(evaluation)
    output = capsys.readouterr().out
    assert f"--train_input_path '{tmp_path}/train/*.parquet' --eval_input_path '{tmp_path}/eval/*.parquet'" in output


def test_make_data_rejects_a_directory_with_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "mine.parquet").touch()
    assert main(["--pipeline_config", CONFIG, "--out", str(tmp_path)]) == 2
    assert "train is not empty; choose another --output_dir" in capsys.readouterr().err
