"""Rare positives: a binned AUC says that most scores share a bin, and a proposed config has an exact one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tzrec
from tests.fixtures.click_files import write_parquet
from tzrec.config.load import dump_config
from tzrec.profile.init import init
from tzrec.profile.initial_config import base_config

ROWS = 2000
EXACT = {"model_config.metrics[0].auc.thresholds": 0}


def write(folder: Path, share: float) -> str:
    """Write data with a share of positives that depend on the user, and a config; return its path."""
    rng = np.random.default_rng(0)
    user = rng.integers(0, 50, ROWS)
    clicked = rng.random(ROWS) < share * (user < 25) * 2
    return write_parquet(folder, {"user": user, "price": rng.random(ROWS), "clk": clicked.astype(int)})


def test_binned_auc_of_close_scores_warns_once_per_evaluation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = write(tmp_path, 0.005)
    edits = {
        "train_config.num_epochs": 4,
        "train_config.dense_optimizer.adam_optimizer.lr": 0.02,
        "train_config.sparse_optimizer.adagrad_optimizer.lr": 0.2,
        "model_config.multi_tower": 'towers { input: "all" } final { hidden_units: [16] }',
    }
    binned = tzrec.train(config, edit=edits)
    (warning,) = [message for message in caplog.messages if message.startswith("auc: ")]
    assert warning.endswith("thresholds: 0 computes the exact area")
    number = int(warning.removeprefix("auc: ").split(" of ")[0].replace(",", ""))
    assert ROWS / 2 < number <= ROWS
    caplog.clear()
    exact = tzrec.evaluate(config, edit=edits | EXACT)
    assert exact["auc"] > 0.7
    assert abs(exact["auc"] - binned.metrics["auc"]) > 0.001, "ties change the area"
    assert not [message for message in caplog.messages if message.startswith("auc: ")]


def test_init_proposes_an_exact_auc_and_names_rare_positives(tmp_path: Path) -> None:
    for share in (0.005, 0.3):
        write(tmp_path, share)
        result = init(base_config(str(tmp_path / "t.parquet"), "", str(tmp_path / "m"), ["clk"]))
        assert "thresholds: 0" in dump_config(result.config)
        assert any("so its auc is exact" in note for note in result.notes) == (share == 0.005)
