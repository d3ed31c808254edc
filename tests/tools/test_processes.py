"""Every command runs as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tzrec.tools
from tzrec import cli

TOOLS = sorted(path.stem for path in Path(tzrec.tools.__file__).parent.glob("*.py") if "def main(" in path.read_text())


MODULES = sorted({*(f"tzrec.tools.{tool}" for tool in TOOLS), *(cli.COMMANDS[name][0] for name in cli.commands())})


@pytest.mark.parametrize("module", MODULES)
def test_command_prints_its_help(module: str) -> None:
    command = [sys.executable, "-m", module, "--help"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.startswith("usage: tzrec ")
