"""Loading checkpoints and packages into a session."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from google.protobuf import text_format

from tests.fixtures.small_model import STEP, exported_package, saved_model, small_config, small_model
from tests.fixtures.small_run import CONFIG
from tzrec.checkpoint import store
from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import Saver
from tzrec.errors import CheckpointError, PackageError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run import session as session_module
from tzrec.run.session import Purpose, Session, choose_checkpoint
from tzrec.serving.predictor import package_config


def config_of(model_dir: Path) -> EasyRecConfig:
    config = small_config()
    config.model_dir = str(model_dir)
    return config


def test_load_for_serving_restores_every_weight() -> None:
    with Session.load(config_of(saved_model()), purpose="serving") as session:
        restored, saved = session.rec_model.state_dict(), small_model().state_dict()
    assert session.step == STEP
    assert not session.rec_model.training
    assert list(restored) == list(saved)
    for name, value in saved.items():
        assert torch.equal(restored[name], value)
        assert restored[name].dtype == value.dtype


def test_load_of_another_model_raises_and_leaves_process_group() -> None:
    config = config_of(saved_model())
    config.model_config.mmoe.num_expert = 3
    with pytest.raises(CheckpointError, match=r"does not match.*\n(.*\n)*.*experts\.2.*not in the checkpoint"):
        Session.load(config, purpose="serving")
    assert not dist.is_initialized()


@pytest.mark.parametrize("purpose", ["serving", "evaluation"])
def test_load_of_mask_net_of_an_earlier_version_has_biases_of_zeros(purpose: Purpose, tmp_path: Path) -> None:
    """Earlier versions had no bias before the norm."""
    config = text_format.Parse(CONFIG.format(data="none", model=tmp_path, dropout=0.0), EasyRecConfig())
    block = "mask_net { mask_net_module { n_mask_blocks: 2 mask_block { hidden_dim: 3 } } }"
    text_format.Merge(f"model_config {{ {block} losses {{ binary_cross_entropy {{}} }} }}", config)
    config.data_config.label_fields[:] = ["clk"]
    features = FeatureEncoder.from_config(config.feature_configs, config.data_config).features
    stored = {name: value + 1 for name, value in build_model(config, features).state_dict().items()}
    biases = [f"model.mask_net.blocks.{index}.linear.bias" for index in range(2)]
    for name in biases:
        del stored[name]
    saver = Saver(tmp_path, keep=0, protected=lambda older: ())
    saver.save(CheckpointManifest(Position(step=STEP)), {"model": stored}, plan="{}")
    saver.wait()
    with Session.load(config, purpose=purpose) as session:
        restored = dict(session.rec_model.model.named_parameters(prefix="model"))
    assert [restored[name].tolist() for name in biases] == [[0.0] * 3] * 2
    weight = "model.mask_net.blocks.1.linear.weight"
    assert torch.equal(restored[weight], stored[weight])


def test_load_of_package_has_signature_of_its_checkpoint() -> None:
    package = str(exported_package())
    with Session.load(config_of(saved_model()), purpose="serving") as session:
        signature = session.scorer().signature
    with Session.load(package_config(Path(package)), package_path=package) as session:
        assert session.step == STEP
        assert session.scorer().signature == signature


def test_build_selects_kernels_for_device_of_session(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []

    def build_model(*args: object, compute_device: torch.device, **kwargs: object) -> RecModel:
        devices.append(compute_device)
        return small_model()

    monkeypatch.setattr(session_module, "build_model", build_model)
    monkeypatch.setattr(session_module, "shard", lambda model, *args: SimpleNamespace(module=model))
    with Session.new(config_of(saved_model())) as session:
        session.build()
        assert devices == [session.device]


def test_load_of_missing_package_raises_and_leaves_process_group(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="is not a package"):
        Session.load(small_config(), package_path=str(tmp_path))
    assert not dist.is_initialized()


def test_choose_checkpoint_follows_path_then_export_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps 10, 20, 30; the best by auc_ctr is 20, by the smallest loss 10; a named path has precedence."""
    monkeypatch.setattr(store, "open_checkpoint", lambda path: path.name)
    monkeypatch.setattr(store, "find", lambda path: f"latest of {path.name}")
    results = [{"global_step": s, "auc_ctr": a, "loss": x} for s, a, x in [(10, 0.6, 1), (20, 0.8, 2), (30, 0.7, 3)]]
    (tmp_path / "train_eval_result_v2.txt").write_text("\n".join(map(json.dumps, results)))
    config = config_of(tmp_path)
    assert choose_checkpoint(config, None, "serving") == f"latest of {tmp_path.name}"
    config.export_config.exporter_type = "best"
    config.export_config.best_exporter_metric = "auc_ctr"
    assert choose_checkpoint(config, None, "serving") == "model.ckpt-20"
    assert choose_checkpoint(config, None, "evaluation") == f"latest of {tmp_path.name}"
    config.export_config.best_exporter_metric, config.export_config.metric_larger_is_better = "loss", False
    assert choose_checkpoint(config, None, "serving") == "model.ckpt-10"
    assert choose_checkpoint(config, "elsewhere/model.ckpt-5", "serving") == "latest of model.ckpt-5"
