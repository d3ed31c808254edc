"""Training runs of the small config in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.record_losses import Recorder
from tests.fixtures.small_run import CONFIG, Job, write_data
from tzrec.config.check import load_checked
from tzrec.run.train import train


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Return a function that trains with edits and returns the model directory and the losses of every step."""
    write_data(tmp_path / "data")

    def run(
        name: str, resume: bool = False, ignore_optimizer: bool = False, dropout: float = 0.1, **edits: Any
    ) -> tuple[Path, Recorder]:
        config = tmp_path / "job.config"
        config.write_text(CONFIG.format(data=tmp_path / "data", model=tmp_path / name, dropout=dropout))
        recorder = Recorder()
        dotted = {path.replace("__", "."): value for path, value in edits.items()}
        train(load_checked(str(config), dotted), resume, ignore_optimizer, listeners=[recorder])
        return tmp_path / name, recorder

    return run
