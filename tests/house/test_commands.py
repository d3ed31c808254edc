"""Every command that the documents show is one that works: the verb exists and knows each flag."""

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
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "experiments").glob("*/README.md")),
]
LAUNCHER = re.compile(r"(?:python3?|torchrun(?: --[a-z_-]+(?:=\S+)?)*) -m (tzrec(?:\.\w+)+) ?")


class Parsed(Exception):  # noqa: N818 - no error
    """Raised in place of running a verb."""


def commands(text: str) -> list[str]:
    """The command lines in the fenced blocks of a document, continued lines joined, prompt and remark removed."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if re.match(r"(make|tzrec|python3?|torchrun) ", line)]


def split(command: str) -> tuple[str, list[str]] | None:
    """The verb's module and its words, or None for a command that is not ours."""
    found = LAUNCHER.match(command)
    if found:
        return found[1], shlex.split(command[found.end() :], comments=True)
    words = shlex.split(command, comments=True)
    if words[0] == "tzrec" and len(words) > 1 and not words[1].startswith("-"):
        return cli.VERBS[words[1]][0], words[2:]
    return None


def parse(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the words of a command to its verb, but stop once the verb has parsed them."""
    target = split(command)
    if target is None:
        return
    original = cli.Flags.parse_args

    def stop(self: cli.Flags, args: Any = None, namespace: Any = None) -> Any:
        original(self, args, namespace)
        raise Parsed

    monkeypatch.setattr(cli.Flags, "parse_args", stop)
    module, words = target
    with pytest.raises(Parsed):
        importlib.import_module(module).main.__wrapped__(words)


def shown() -> list[Any]:
    """(document, command) of all documents."""
    return [
        pytest.param(command, id=f"{path.relative_to(ROOT)}: {command[:60]}")
        for path in DOCUMENTS
        if path.exists()
        for command in commands(path.read_text())
    ]


@pytest.mark.parametrize("command", shown())
def test_shown_command(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if command.startswith("make "):
        target = shlex.split(command, comments=True)[1:]
        known = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in target if "=" not in word} <= set(known)
    else:
        parse(command, monkeypatch)


def test_the_readme_shows_commands() -> None:
    readme = commands((ROOT / "README.md").read_text())
    assert {"make demo", "make test"} <= {" ".join(shlex.split(line, comments=True)) for line in readme}


def test_commands_are_found() -> None:
    launched = "torchrun --nproc-per-node=2 -m tzrec.doctor \\\n  --directory x"
    text = f"a\n```\n$ make demo   # all\n{launched}\nother\n```\ntzrec no\n"
    assert commands(text) == ["make demo   # all", "torchrun --nproc-per-node=2 -m tzrec.doctor    --directory x"]
    assert split("torchrun --nproc-per-node=2 -m tzrec.doctor --directory x # y") == (
        "tzrec.doctor",
        ["--directory", "x"],
    )
    assert split("tzrec doctor --directory 'x y'") == ("tzrec.doctor", ["--directory", "x y"])
    assert split("python setup.py proto") is None


def test_a_wrong_flag_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="did you mean --directory"):
        parse("tzrec doctor --directry x", monkeypatch)
