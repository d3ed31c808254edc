"""Command lines in the documentation are valid: the command exists and accepts each flag."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tzrec import cli
from tzrec.errors import UsageError

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/*/README.md")])
LAUNCHER = re.compile(r"(?:python3?|torchrun(?: --[a-z_-]+(?:=\S+)?)*) -m (tzrec(?:\.\w+)+) ?")


class Parsed(Exception):  # noqa: N818 - not an error
    """Raised instead of running a command."""


def commands(text: str) -> list[str]:
    """List the command lines in the fenced blocks of a document, with continued lines joined and prompts removed."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.removesuffix(" &") for line in lines if re.match(r"(make|tzrec|python3?|torchrun) ", line)]


def split(command: str) -> tuple[str, list[str]] | None:
    """Split a command line into the module and the arguments; None for a program that is not part of tzrec."""
    launcher = LAUNCHER.match(command)
    if launcher:
        return launcher[1], shlex.split(command[launcher.end() :], comments=True)
    words = shlex.split(command, comments=True)
    if words[0] == "tzrec" and len(words) > 1 and not words[1].startswith("-"):
        return cli.COMMANDS[words[1]][0], words[2:]
    return None


def parse(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pass the arguments of a command line to its command, and stop once the command has parsed them."""
    target = split(command)
    if target is None:
        return
    original = cli.Flags.parse_args

    def stop(self: cli.Flags, args: Any = None, namespace: Any = None) -> Any:
        original(self, args, namespace)
        raise Parsed

    monkeypatch.setattr(cli.Flags, "parse_args", stop)
    module, arguments = target
    with pytest.raises(Parsed):
        importlib.import_module(module).main.__wrapped__(arguments)


def documented_commands() -> list[Any]:
    """Make one test parameter for each command of each document."""
    return [
        pytest.param(command, id=f"{path.relative_to(ROOT)}: {command[:60]}")
        for path in DOCUMENTS
        for command in commands(path.read_text())
    ]


@pytest.mark.parametrize("command", documented_commands())
def test_documented_command_is_accepted(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if command.startswith("make "):
        arguments = shlex.split(command, comments=True)[1:]
        targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {argument for argument in arguments if "=" not in argument} <= set(targets)
    else:
        parse(command, monkeypatch)


def test_readme_shows_demo_and_test_commands() -> None:
    lines = commands((ROOT / "README.md").read_text())
    assert {"make demo", "make test"} <= {" ".join(shlex.split(line, comments=True)) for line in lines}


def test_commands_joins_lines_and_ignores_other_programs() -> None:
    launch = "torchrun --nproc-per-node=2 -m tzrec.doctor \\\n  --directory x"
    text = f"a\n```\n$ make demo   # all\n{launch}\nother\n```\ntzrec no\n"
    assert commands(text) == ["make demo   # all", "torchrun --nproc-per-node=2 -m tzrec.doctor    --directory x"]
    assert split("torchrun --nproc-per-node=2 -m tzrec.doctor --directory x # y") == (
        "tzrec.doctor",
        ["--directory", "x"],
    )
    assert split("tzrec doctor --directory 'x y'") == ("tzrec.doctor", ["--directory", "x y"])
    assert split("python setup.py proto") is None


def test_parse_with_unknown_flag_raises_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match='did you mean "--directory'):
        parse("tzrec doctor --directry x", monkeypatch)
