"""Command line: flags, errors and exit statuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tzrec import cli
from tzrec.errors import ConfigError, DataError, Problem, UsageError


def train_flags() -> cli.Flags:
    flags = cli.parser("train", "Train.")
    flags.config()
    flags.switch("--continue_train", "go on")
    flags.add_argument("--batch_size", type=int)
    return flags


@pytest.mark.parametrize("name", ["--pipeline_config", "--pipeline_config_path"])
def test_config_flag_has_two_names(name: str) -> None:
    assert train_flags().parse_args([name, "a.config"]).pipeline_config == "a.config"
    assert train_flags().parse_args([f"{name}=a.config"]).pipeline_config == "a.config"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([], False),
        (["--continue_train"], True),
        (["--continue_train", "true"], True),
        (["--continue_train", "False"], False),
        (["--continue_train=false"], False),
        (["--continue_train", "--batch_size", "3"], True),
    ],
)
def test_switch_parses_boolean(words: list[str], value: bool) -> None:
    assert train_flags().parse_args(["--pipeline_config", "a", *words]).continue_train is value


def test_switch_with_other_value_raises() -> None:
    with pytest.raises(UsageError, match="'maybe' is neither true nor false"):
        train_flags().parse_args(["--pipeline_config", "a", "--continue_train", "maybe"])


def test_unknown_flags_raise_with_suggestions() -> None:
    with pytest.raises(UsageError) as caught:
        train_flags().parse_args(["--pipeline_confg", "a", "--batchsize=3", "--zzz"])
    text = str(caught.value)
    assert 'unknown flag --pipeline_confg; did you mean "--pipeline_config"?' in text
    assert 'unknown flag --batchsize; did you mean "--batch_size"?' in text
    assert "unknown flag --zzz\n" in text
    assert "required" not in text


def test_abbreviated_flag_raises_with_suggestion() -> None:
    with pytest.raises(UsageError, match='unknown flag --continue; did you mean "--continue_train"'):
        train_flags().parse_args(["--pipeline_config", "a", "--continue"])


def test_missing_invalid_and_unexpected_arguments_raise() -> None:
    with pytest.raises(UsageError, match="required: --pipeline_config"):
        train_flags().parse_args([])
    with pytest.raises(UsageError, match="invalid int value: 'many'"):
        train_flags().parse_args(["--pipeline_config", "a", "--batch_size", "many"])
    with pytest.raises(UsageError, match="unexpected argument 'b'"):
        train_flags().parse_args(["--pipeline_config", "a", "--batch_size", "1", "b"])


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UsageError("no"), 2, "no\n"),
        (ConfigError([Problem("a.b", "bad", "x.config:1:2")]), 2, "x.config:1:2     a.b: bad\n1 problem."),
        (DataError("row 3"), 1, "row 3\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_run_converts_errors_to_text_and_status(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @cli.run
    def command(argv: object = None) -> int:
        raise error

    assert command([]) == code
    output = capsys.readouterr().err
    assert output.startswith(text)
    assert "Traceback" not in output


def test_run_of_other_error_raises() -> None:
    @cli.run
    def command(argv: object = None) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command([])


def test_run_prints_error_of_all_ranks_on_rank_0_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(cli, "_MAIN_PRINTS_S", 0.0)

    @cli.run
    def usage(argv: object = None) -> int:
        raise UsageError("same everywhere")

    @cli.run
    def data(argv: object = None) -> int:
        raise DataError("only here")

    assert (usage([]), data([])) == (2, 1)
    assert capsys.readouterr().err == "rank 1: only here\n"


def test_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    output = capsys.readouterr().out
    assert "doctor" in output
    assert all(f"  {command} " in output for command in cli.commands())


def test_unknown_command_has_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctr"]) == 2
    assert "unknown command 'doctr'; did you mean \"doctor\"?" in capsys.readouterr().err


def test_help_does_not_import_torch() -> None:
    code = "import sys, tzrec.cli; tzrec.cli.main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_leave_flushes_output_and_skips_exit_handlers() -> None:
    code = "import atexit; from tzrec import cli; atexit.register(print, 'late'); print('said', end=''); cli.leave(3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "said")


@pytest.mark.parametrize("unbuffered", [[], ["-u"]])
def test_output_that_is_not_read_ends_quietly(unbuffered: list[str]) -> None:
    command = [sys.executable, *unbuffered, "-m", "tzrec", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()  # before anything is written
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, b"")


def test_edits_of_both_flags_are_combined_and_the_last_one_counts() -> None:
    flags = cli.parser("train", "Train.")
    flags.edits()
    words = ["--set", "a.b=1", "--edit_config_json", '{"a.b": 2, "c": [3]}', "--set=d=x=y", "--set", "c=4"]
    assert flags.parse_args(words).edit_config_json == {"a.b": 2, "c": "4", "d": "x=y"}
    assert flags.parse_args([]).edit_config_json == {}
    with pytest.raises(UsageError, match="--set: 'a\\.b' is not path=value"):
        flags.parse_args(["--set", "a.b"])


def test_flags_of_log_lines_belong_to_every_command() -> None:
    words = ["--pipeline_config", "a", "--log_file", "a.log", "--quiet", "--log_format=json"]
    args = train_flags().parse_args(words)
    assert (args.log_file, args.quiet, args.log_format) == ("a.log", True, "json")
    with pytest.raises(UsageError, match='unknown flag --log_fil; did you mean "--log_file"'):
        train_flags().parse_args(["--pipeline_config", "a", "--log_fil", "a.log"])
