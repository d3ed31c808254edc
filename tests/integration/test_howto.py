"""The commands of the how-to pages, run from top to bottom in an empty directory."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tzrec import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))
DIFFERENT = 1
"""Status of `tzrec diff` for configs that differ, and of `tzrec doctor` for an installation with problems."""


def shell_commands(text: str) -> list[str]:
    """List the commands of the blocks that are marked as `sh`, with continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def test_every_page_has_commands() -> None:
    assert len(PAGES) >= 4
    assert all(len(shell_commands(page.read_text())) >= 3 for page in PAGES)


def run(command: str) -> int:
    """Run a command in this process, or on the ranks that torchrun starts; return its exit status."""
    match shlex.split(command):
        case ["tzrec", verb, *words]:
            return int(importlib.import_module(cli.COMMANDS[verb][0]).main(words))
        case ["python", "-m", module, *words]:
            return int(importlib.import_module(module).main(words))
        case ["torchrun", *words]:
            launcher = [sys.executable, "-m", "torch.distributed.run"]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            return subprocess.run([*launcher, *words], env=environment, timeout=300, check=False).returncode
        case _:
            raise AssertionError(f"{command}: not a command of these pages")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_the_page_run_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in shell_commands(page.read_text()):
        expected = (0, DIFFERENT) if command.startswith(("tzrec diff", "tzrec doctor")) else (0,)
        assert run(command) in expected, command
