"""Every tool runs as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tzrec.tools

TOOLS = sorted(path.stem for path in Path(tzrec.tools.__file__).parent.glob("*.py") if "def main(" in path.read_text())


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_prints_its_help(tool: str) -> None:
    command = [sys.executable, "-m", f"tzrec.tools.{tool}", "--help"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.startswith("usage: tzrec ")
