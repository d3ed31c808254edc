from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.fixtures.small_model import STEP, saved_model, small_config, small_encoder, small_model
from tzrec.checkpoint import store
from tzrec.errors import CheckpointError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.trained import choose, load_trained


def config_of(model_dir: Path) -> EasyRecConfig:
    config = small_config()
    config.model_dir = str(model_dir)
    return config


def test_reads_every_weight() -> None:
    trained = load_trained(small_config(), small_encoder().features, choose(config_of(saved_model()), None))
    assert trained.step == STEP
    read, written = trained.ranker.state_dict(), small_model().state_dict()
    assert list(read) == list(written)
    for name, value in written.items():
        assert torch.equal(read[name], value)
        assert read[name].dtype == value.dtype


def test_another_model_is_refused() -> None:
    config = config_of(saved_model())
    config.model_config.mmoe.num_expert = 3
    with pytest.raises(CheckpointError, match=r"does not fit.*\n(.*\n)*.*experts\.2.*not in the checkpoint"):
        load_trained(config, small_encoder().features, choose(config, None))


def test_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps 10, 20, 30; the best by auc_ctr is 20, by the smallest loss 10; a path that is named wins."""
    monkeypatch.setattr(store, "open_checkpoint", lambda path: path.name)
    monkeypatch.setattr(store, "find", lambda path: f"latest of {path.name}")
    results = [{"global_step": s, "auc_ctr": a, "loss": x} for s, a, x in [(10, 0.6, 1), (20, 0.8, 2), (30, 0.7, 3)]]
    (tmp_path / "train_eval_result_v2.txt").write_text("\n".join(map(json.dumps, results)))
    config = config_of(tmp_path)
    assert choose(config, None) == f"latest of {tmp_path.name}"
    config.export_config.exporter_type = "best"
    config.export_config.best_exporter_metric = "auc_ctr"
    assert choose(config, None) == "model.ckpt-20"
    config.export_config.best_exporter_metric, config.export_config.metric_larger_is_better = "loss", False
    assert choose(config, None) == "model.ckpt-10"
    assert choose(config, "elsewhere/model.ckpt-5") == "latest of model.ckpt-5"
