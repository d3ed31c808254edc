from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from tzrec.checkpoint import store
from tzrec.checkpoint.manifest import NAME, CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import Saver
from tzrec.errors import CheckpointError


def save(model_dir: Path, step: int, value: float, is_checked: bool = False) -> None:
    """Save a checkpoint with one value of the optimizer, as a version that did not check it."""
    saver = Saver(model_dir, 0, lambda older: ())
    parts = {"model": {"weight": torch.ones(3)}, "optimizer": {"step": torch.tensor(7), "moment": torch.ones(4)}}
    parts["optimizer"]["moment"][2] = value
    saver.save(CheckpointManifest(Position(step), is_finite=is_checked), parts, "{}")
    saver.wait()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_poisoned_checkpoint_is_passed_over_by_its_tensor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, value: float
) -> None:
    save(tmp_path, 5, 1.0)
    save(tmp_path, 6, value)
    latest = store.latest(tmp_path)
    assert latest
    assert latest.step == 5
    problem = f"{tmp_path}/model.ckpt-6 holds values that are not finite, in optimizer/moment: "
    assert any(message.startswith(problem) and "trying the previous one" in message for message in caplog.messages)
    with pytest.raises(CheckpointError, match="not finite, in optimizer/moment"):
        store.open_checkpoint(tmp_path / "model.ckpt-6")


def test_only_poisoned_checkpoints_are_an_error(tmp_path: Path) -> None:
    save(tmp_path, 6, math.nan)
    with pytest.raises(CheckpointError, match=r"(?s)all checkpoints are damaged:.*not finite, in optimizer/moment"):
        store.latest(tmp_path)


def test_checkpoint_of_another_program_is_checked(tmp_path: Path) -> None:
    save(tmp_path, 6, math.nan)
    (tmp_path / "model.ckpt-6" / NAME).unlink()
    with pytest.raises(CheckpointError, match="not finite, in optimizer/moment"):
        store.open_checkpoint(tmp_path / "model.ckpt-6")


def test_checkpoint_that_was_checked_when_saved_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 6, 1.0, is_checked=True)
    assert json.loads((tmp_path / "model.ckpt-6" / NAME).read_text())["is_finite"] is True
    monkeypatch.setattr("tzrec.checkpoint.finite.restore", None)
    assert store.open_checkpoint(tmp_path / "model.ckpt-6").step == 6
