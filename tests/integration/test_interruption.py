"""Threads of a run that is interrupted or fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch.distributed as dist

from tests.fixtures.small_run import CONFIG, write_data
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import SaveResult
from tzrec.config.check import load_checked
from tzrec.run.evaluation import Evaluation
from tzrec.run.listeners import Listener
from tzrec.run.session import Session
from tzrec.run.train import train


class Interrupter(Listener):
    """Listener that raises an error in one of its methods."""

    def __init__(self, method: str, error: BaseException) -> None:
        self._method, self._error = method, error

    def _raise_in(self, method: str) -> None:
        if method == self._method:
            raise self._error

    def on_step(self, position: Position) -> None:
        self._raise_in("on_step")

    def on_save(self, saved: SaveResult) -> None:
        self._raise_in("on_save")

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._raise_in("on_evaluation")


@pytest.fixture
def config_path(tmp_path: Path) -> str:
    write_data(tmp_path / "data")
    path = tmp_path / "job.config"
    path.write_text(CONFIG.format(data=tmp_path / "data", model=tmp_path / "model", dropout=0.1))
    return str(path)


@pytest.mark.parametrize("method", ["on_step", "on_save", "on_evaluation"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("error of a listener")])
def test_train_interrupted_in_listener_joins_all_threads(config_path: str, method: str, error: BaseException) -> None:
    threads = set(threading.enumerate())
    config = load_checked(config_path, {"train_config.use_tensorboard": True, "data_config.num_workers": 2})
    with pytest.raises(type(error)) as caught:  # holds the frames, so that no thread is left to the garbage collector
        train(config, listeners=[Interrupter(method, error)])
    assert set(threading.enumerate()) - threads == set()
    assert not dist.is_initialized()
    assert caught.value is error


def test_train_interrupted_while_building_joins_all_threads(config_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set(threading.enumerate())
    error = KeyboardInterrupt()

    def interrupt(session: Session, plan: object) -> None:
        raise error

    monkeypatch.setattr(Session, "build", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(load_checked(config_path))
    assert set(threading.enumerate()) - threads == set()
    assert caught.value is error
