"""Shell completion, in the shells that are here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tzrec import cli, completion
from tzrec.config.template import template_models


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the script of each shell to a file."""
    directory = tmp_path_factory.mktemp("scripts")
    paths = {shell: directory / f"tzrec.{shell}" for shell in ("bash", "zsh", "fish")}
    for shell, path in paths.items():
        path.write_text(completion.script(shell))
    return paths


def run(shell: str, program: str, directory: Path) -> list[str]:
    """Run a program in a shell; returns the lines that it prints."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    process = subprocess.run(
        [shell, *options, "-c", program], capture_output=True, text=True, cwd=directory, timeout=60, check=False
    )
    assert process.stderr == ""
    return process.stdout.splitlines()


def complete_in_bash(script: Path, words: list[str], directory: Path) -> list[str]:
    """Complete the last of the words as bash does: it divides a word at an equals sign."""
    array = " ".join(f"'{word}'" for word in words)
    call = f"COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _tzrec; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    return run("bash", f"source {script}; {call}", directory)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tzrec", "tra"], ["train"]),
        (["tzrec", "--v"], ["--version"]),
        (["tzrec", "train", "--pipe"], ["--pipeline_config", "--pipeline_config_path"]),
        (["tzrec", "train", "--se"], ["--set"]),
        (["tzrec", "train", "--log_format", ""], ["plain", "time", "json"]),
        (["tzrec", "train", "--log_format", "=", "j"], ["json"]),
        (["tzrec", "train", "--log_format", "="], ["plain", "time", "json"]),
        (["tzrec", "train", "--continue_train", "t"], ["true"]),
        (["tzrec", "predict", "--writer_type", "C"], ["CsvWriter"]),
        (["tzrec", "train", "--pipeline_config", "my"], ["my first.config"]),
        (["tzrec", "train", "--export"], [""]),
        (["tzrec", "export", "--export"], ["--export_dir"]),
        (["tzrec", "completion", ""], ["bash", "zsh", "fish"]),
        (["tzrec", "completion", "--log_format", "j"], ["json"]),
        (["tzrec", "new", "ml"], [""]),
        (["tzrec", "new", "mm"], ["mmoe"]),
        (["tzrec", "new", "--overwrite", "true", "wi"], ["wide_and_deep"]),
        (["tzrec", "new", "mmoe", "--output", "my"], ["my first.config"]),
        (["tzrec", "new", "mmoe", "--ou"], ["--output"]),
        (["tzrec", "format", "my"], ["my first.config"]),
    ],
)
def test_bash_completes_commands_flags_choices_and_files(
    words: list[str], expected: list[str], scripts: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "my first.config").write_text("")
    assert complete_in_bash(scripts["bash"], words, tmp_path) == expected


def test_bash_completes_every_flag_of_every_command(scripts: dict[str, Path], tmp_path: Path) -> None:
    assert complete_in_bash(scripts["bash"], ["tzrec", ""], tmp_path)[:-2] == list(cli.commands())
    for command in cli.commands():
        flags = [name for action in cli.flags_of(command).actions for name in action.option_strings if name[1] == "-"]
        assert complete_in_bash(scripts["bash"], ["tzrec", command, "--"], tmp_path) == flags


def test_bash_completes_every_model_with_a_template(scripts: dict[str, Path], tmp_path: Path) -> None:
    assert complete_in_bash(scripts["bash"], ["tzrec", "new", ""], tmp_path) == list(template_models())


def test_fish_completes_commands_flags_and_choices(scripts: dict[str, Path], tmp_path: Path) -> None:
    def complete(line: str) -> list[str]:
        program = f"source {scripts['fish']}; complete -C '{line}'"
        return [text.split("\t")[0] for text in run("fish", program, tmp_path)]

    assert complete("tzrec tra") == ["train"]
    assert complete("tzrec train --pipe") == ["--pipeline_config", "--pipeline_config_path"]
    assert complete("tzrec train --log_format ") == ["json", "plain", "time"]
    assert complete("tzrec completion ") == ["bash", "fish", "zsh"]
    assert complete("tzrec new mm") == ["mmoe"]
    (tmp_path / "first.config").write_text("")
    assert complete("tzrec new mmoe --output fi") == ["first.config"]


def test_zsh_script_is_valid(scripts: dict[str, Path], tmp_path: Path) -> None:
    program = f"autoload -Uz compinit; compinit -D; source {scripts['zsh']}; print $_comps[tzrec]; functions _tzrec"
    assert run("zsh", program, tmp_path)[0] == "_tzrec"


def test_completion_prints_the_script_of_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "bash"]) == 0
    assert "complete -F _tzrec tzrec\n" in capsys.readouterr().out
    assert cli.main(["completion", "tcsh"]) == 2
