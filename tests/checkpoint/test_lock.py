"""One writer per model directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tzrec.checkpoint.lock import Lock
from tzrec.errors import CheckpointError


def test_lock_of_second_writer_raises_with_holder(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "run")
    with pytest.raises(CheckpointError, match=f"is being written by process {os.getpid()} on"):
        Lock(tmp_path / "run")
    lock.release()
    Lock(tmp_path / "run").release()


def test_lock_of_ended_process_is_released(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from tzrec.checkpoint.lock import Lock; "
        "Lock(Path(sys.argv[1])); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    Lock(tmp_path).release()
