"""Readers of a model directory whose checkpoints a training run deletes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fixtures.small_model import STEP, saved_model, small_config, small_model
from tzrec.checkpoint import store
from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.manifest import NAME, CheckpointManifest
from tzrec.errors import CheckpointError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.session import Session
from tzrec.storage.path import AnyPath


@pytest.fixture
def config(tmp_path: Path) -> EasyRecConfig:
    shutil.copytree(saved_model(), tmp_path / "model")
    config = small_config()
    config.model_dir = str(tmp_path / "model")
    return config


def train_on(model_dir: Path) -> None:
    """Replace the checkpoint by a newer one, as a training run with keep_checkpoint_max: 1."""
    (path,) = store.list_checkpoints(model_dir)
    newer = store.checkpoint_path(model_dir, int(path.name.rpartition("-")[2]) + 1)
    shutil.copytree(path, newer)
    store.remove_directory(path)


def test_load_of_checkpoint_deleted_while_read_takes_next(
    config: EasyRecConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    deletions = iter(range(2))
    restore = Session._restore

    def restore_late(*arguments: Any) -> bool:
        if next(deletions, None) is not None:
            train_on(Path(config.model_dir))
        return restore(*arguments)

    monkeypatch.setattr(Session, "_restore", restore_late)
    with Session.load(config, purpose="serving") as session:
        restored = session.rec_model.state_dict()
    expected = small_model().state_dict()
    assert all(torch.equal(restored[name], value) for name, value in expected.items())
    name = f"model.ckpt-{STEP}"
    assert f"(model.ckpt-{STEP + 1} was deleted by the run that trains it)" in caplog.text
    assert f"({name} was deleted by the run that trains it)" in caplog.text
    assert "damaged" not in caplog.text


def test_load_of_checkpoint_deleted_after_its_weights_are_read_takes_next(
    config: EasyRecConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    deletions = iter(range(1))

    class LateRecord(FileRecord):
        @classmethod
        def of(cls, path: AnyPath) -> FileRecord:
            if next(deletions, None) is not None:
                train_on(Path(config.model_dir))
            return super().of(path)

    monkeypatch.setattr("tzrec.run.session.FileRecord", LateRecord)
    with Session.load(config, purpose="serving") as session:
        newer = store.checkpoint_path(Path(config.model_dir), STEP + 1)
        assert session.weights_digest == FileRecord.of(newer / NAME).sha256
    assert f"model.ckpt-{STEP + 1} (model.ckpt-{STEP} was deleted by the run that trains it)" in caplog.text


def test_load_of_checkpoint_deleted_while_verified_takes_next(
    config: EasyRecConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    deletions = iter(range(2))
    verify = CheckpointManifest.verify

    def verify_late(manifest: CheckpointManifest, directory: Path) -> None:
        if next(deletions, None) is not None:
            train_on(directory.parent)
        verify(manifest, directory)

    monkeypatch.setattr(CheckpointManifest, "verify", verify_late)
    checkpoint = store.find(Path(config.model_dir))
    assert checkpoint.path.name == f"model.ckpt-{STEP + 2}"
    assert "damaged" not in caplog.text


def test_load_of_named_checkpoint_deleted_while_read_raises(
    config: EasyRecConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.list_checkpoints(Path(config.model_dir))[0]

    restore = Session._restore

    def restore_late(*arguments: Any) -> bool:
        store.remove_directory(path)
        return restore(*arguments)

    monkeypatch.setattr(Session, "_restore", restore_late)
    with pytest.raises(CheckpointError, match=f"{path.name} is not a checkpoint"):
        Session.load(config, str(path), purpose="serving")


def test_best_checkpoint_deleted_raises_with_fix(tmp_path: Path) -> None:
    (tmp_path / store.RESULTS).write_text('{"global_step": 3, "auc": 0.5}\n{"global_step": 4, "au')
    with pytest.raises(CheckpointError, match=r"model.ckpt-3, the best checkpoint by auc, was deleted"):
        store.best(tmp_path, "auc", True)
