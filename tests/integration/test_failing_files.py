"""Runs whose files cannot be written: those of the results end a run with an error, the others only with a warning."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.fixtures.small_disk import small_disk
from tests.fixtures.small_run import CONFIG, write_data
from tzrec.checkpoint import store
from tzrec.config.check import load_checked
from tzrec.data.atomic import append_lines
from tzrec.errors import CheckpointError
from tzrec.run.train import train

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


@pytest.fixture
def config_path(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.WARNING, "tzrec")
    write_data(tmp_path / "data")
    path = tmp_path / "job.config"
    path.write_text(CONFIG.format(data=tmp_path / "data", model=tmp_path / "model", dropout=0.1))
    return str(path)


def test_train_without_side_files_warns_and_succeeds(
    tmp_path: Path, config_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorboard")
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    (model_dir / "report.html").mkdir()
    (model_dir / "eval_val").write_text("a file")
    (model_dir / store.RESULTS).mkdir()
    edits = {"train_config.use_tensorboard": True, "train_config.save_checkpoints_steps": 10}
    outcome = train(load_checked(config_path, edits))
    assert outcome.step == 19
    assert outcome.metrics["auc_ctr"] > 0
    assert [path.name for path in store.list_checkpoints(model_dir)] == ["model.ckpt-10", "model.ckpt-19"]
    assert f"{store.RESULTS} was not written: Is a directory; the run goes on without it" in caplog.text
    assert "TensorBoard events in" in caplog.text
    assert "report.html was not written: " in caplog.text


def test_train_that_fails_keeps_its_error_without_side_files(tmp_path: Path, config_path: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "report.html").mkdir()
    edits = {"train_config.save_checkpoints_steps": 5}
    error = RuntimeError("the error of the run")

    def fail(*args: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tzrec.run.training_loop.evaluate_model", fail)
        with pytest.raises(RuntimeError) as caught:
            train(load_checked(config_path, edits))
    assert caught.value is error


def test_train_on_full_disk_stops_after_failed_saves(
    tmp_path: Path, config_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk", "400k") as disk:
        edits = {
            "train_config.save_checkpoints_steps": 2,
            "train_config.max_failed_saves": 2,
            "model_dir": str(disk / "model"),
            "eval_input_path": "",
        }
        with pytest.raises(CheckpointError, match=r"failed 2 times in a row .*: No space left on device; the newest"):
            train(load_checked(config_path, edits))
        assert caplog.text.count("was not saved: No space left on device; training goes on") >= 1
        saved = store.list_checkpoints(disk / "model")
        assert store.latest(disk / "model")
        assert not [path for path in (disk / "model").glob("model.ckpt-*") if path not in saved]


def test_train_whose_last_save_fails_raises(tmp_path: Path, config_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(27, "File too large")

    monkeypatch.setattr("tzrec.checkpoint.saver._publish", fail)
    with pytest.raises(CheckpointError, match=r"model\.ckpt-19 with: File too large; there is no checkpoint"):
        train(load_checked(config_path, {"eval_input_path": ""}))
    assert not list((tmp_path / "model").glob("model.ckpt-*"))


def test_train_with_unwritable_model_dir_raises(tmp_path: Path, config_path: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match=r"--model_dir .* cannot be written: Not a directory"):
        train(load_checked(config_path, {"model_dir": str(tmp_path / "file" / "model")}))
    with pytest.raises(CheckpointError, match=r"--model_dir .* cannot be written: File exists"):
        train(load_checked(config_path, {"model_dir": str(tmp_path / "file")}))


def test_append_lines_on_full_disk_keeps_whole_lines(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8k") as disk:
        path = disk / "results"
        append_lines(path, ["first"])
        with pytest.raises(OSError, match="No space left on device"):
            append_lines(path, ["x" * 20_000])
        append_lines(path, ["second"])
        assert path.read_text() == "first\nsecond\n"
        path.write_text("first\nhal")
        append_lines(path, ["third"])
        assert path.read_text() == "first\nhal\nthird\n"
