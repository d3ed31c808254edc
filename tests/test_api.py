"""`import tzrec` as a stranger uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

import tzrec
from tzrec import api

SMALL = """
train_input_path: "unused" eval_input_path: "" model_dir: "unused"
train_config {
  num_epochs: 1
  sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
  dense_optimizer { adam_optimizer { lr: 0.01 } constant_learning_rate {} }
}
data_config {
  dataset_type: CsvDataset with_header: true fg_mode: FG_DAG batch_size: 8 label_fields: ["clk"]
}
feature_configs { id_feature { feature_name: "user" expression: "user:user" num_buckets: 10 embedding_dim: 4 } }
model_config {
  feature_groups { group_name: "all" feature_names: ["user"] group_type: DEEP }
  mmoe {
    num_expert: 2
    expert_mlp { hidden_units: [4] }
    task_towers {
      tower_name: "ctr" label_name: "clk" losses { binary_cross_entropy {} } metrics { auc { thresholds: 0 } }
    }
  }
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.config").write_text(SMALL)
    lines = [f"{row % 4},{int(row % 4 < 2)}" for row in range(64)]  # users 0 and 1 click, 2 and 3 do not
    (tmp_path / "log.csv").write_text("\n".join(["user,clk", *lines]) + "\n")
    return tmp_path


def test_train(folder: Path) -> None:
    log = str(folder / "log.csv")
    edit = {"train_input_path": log, "eval_input_path": log, "train_config.num_epochs": 20}
    run = tzrec.train(folder / "small.config", model_dir=folder / "model", edit=edit)
    assert run.metrics["auc_ctr"] == 1.0
    assert run.model_dir == folder / "model"
    assert (run.model_dir / f"model.ckpt-{run.step}").is_dir()


def test_train_refuses_a_wrong_edit_before_anything_starts(folder: Path) -> None:
    with pytest.raises(tzrec.ConfigError, match="num_step"):
        tzrec.train(folder / "small.config", model_dir=folder / "model", edit={"train_config.num_step": 3})
    assert not (folder / "model").exists()


def test_load_is_the_predictor_of_serving() -> None:
    assert tzrec.load is api.load
    with pytest.raises(tzrec.PackageError, match="is no package"):
        tzrec.load("/nowhere")
