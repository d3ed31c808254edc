"""Trains the small job in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.record_losses import Recorder
from tests.integration.small import CONFIG, Job, write_data
from tzrec.config.check import load_checked
from tzrec.run.train import train


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Train into a model directory with edits to the config; gives it back with the losses of every step."""
    write_data(tmp_path / "data")

    def run(
        name: str, go_on: bool = False, ignore: bool = False, dropout: float = 0.1, **edits: Any
    ) -> tuple[Path, Recorder]:
        config = tmp_path / "job.config"
        config.write_text(CONFIG.format(data=tmp_path / "data", model=tmp_path / name, dropout=dropout))
        recorder = Recorder()
        dotted = {path.replace("__", "."): value for path, value in edits.items()}
        train(load_checked(str(config), dotted), go_on, ignore, listeners=[recorder])
        return tmp_path / name, recorder

    return run
