"""The commands of the how-to pages, run from top to bottom in an empty directory."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))
PROGRAMS = {
    "tzrec": ["-m", "tzrec"],
    "python": [],
    "torchrun": ["-m", "torch.distributed.run"],
}
DIFFERENT = 1
"""Status of `tzrec diff` for configs that differ, and of `tzrec doctor` for an installation with problems."""


def shell_commands(text: str) -> list[str]:
    """List the commands of the blocks that are marked as `sh`, with continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def test_every_page_has_commands() -> None:
    assert len(PAGES) >= 4
    assert all(len(shell_commands(page.read_text())) >= 3 for page in PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_the_page_run_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    for command in shell_commands(page.read_text()):
        program, *words = shlex.split(command)
        ended = subprocess.run(
            [sys.executable, *PROGRAMS[program], *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        expected = (0, DIFFERENT) if words[0] in ("diff", "doctor") else (0,)
        assert ended.returncode in expected, f"{command}\n{ended.stdout}{ended.stderr}"
