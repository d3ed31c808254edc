"""An interrupted run leaves no thread of its own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.integration.small import CONFIG, write_data
from tzrec.config.check import load_checked
from tzrec.run.job import run_training
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog


class Interrupt(Listener):
    """Raise KeyboardInterrupt at the first step."""

    def on_log(self, log: StepLog) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("num_workers", [1, 2])
def test_interrupted_run_joins_its_threads(tmp_path: Path, num_workers: int) -> None:
    write_data(tmp_path / "data")
    (tmp_path / "my.config").write_text(CONFIG.format(data=tmp_path / "data", model=tmp_path / "model", dropout=0.0))
    config = load_checked(str(tmp_path / "my.config"), {"data_config.num_workers": num_workers})
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        run_training(config, watching=[Interrupt()])
    assert set(threading.enumerate()) - before == set()
