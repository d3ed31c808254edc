"""Log lines and messages: a name or a value forges none."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

import pytest

from tzrec import cli, log
from tzrec.errors import DataError, Problem, explain, indent_lines, shorten_middle

FORGED = "a\nerror: forged\x1b[2J\u2028b\r\ud800"


@pytest.mark.usefixtures("_no_handlers")
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_log_line_of_value_with_control_characters_stays_one_record(
    level: int, capsys: pytest.CaptureFixture[str]
) -> None:
    log.setup()
    log.logger.log(level, "data   %s", FORGED.removesuffix("\ud800"))  # which no report of a test could hold
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("data   a")
    assert second == "    error: forged\\x1b[2J\\u2028b\\r"


def test_error_with_control_characters_forges_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    @cli.run
    def command(argv: object = None) -> int:
        raise DataError(f"{FORGED}: cannot be read")

    assert command([]) == 1
    assert [line.startswith("    ") for line in capsys.readouterr().err.splitlines()] == [False, True]


def test_problem_with_control_characters_is_one_line() -> None:
    text = str(Problem("model_dir", FORGED, f"{FORGED}:1:2"))
    assert "\n" not in text and "\x1b" not in text and "a\\nerror: forged" in text


def test_indent_lines_keeps_lines_that_are_indented() -> None:
    assert indent_lines("a\n  b\n\nc\td") == "a\n  b\n\n    c\\td"


def test_shorten_middle_of_long_text_keeps_both_ends() -> None:
    assert shorten_middle("a" * 600 + "b" * 600) == "a" * 500 + " ... (200 characters left out) ... " + "b" * 500
    assert shorten_middle("a" * 1000) == "a" * 1000


def test_explain_names_the_argument_of_the_file() -> None:
    error = PermissionError(13, "Permission denied", "/data/out/.x.tmp")
    assert str(explain(error, {"--a": "/other/y", "--b": "/data/out/x"})) == (
        "--b /data/out/x: /data/out/.x.tmp: Permission denied"
    )
    assert str(explain(error, {})) == "/data/out/.x.tmp: Permission denied"
    assert str(explain(error, {"--a": "/data/o", "--b": "/data/out"})).startswith("--b /data/out: ")
    full = OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device", "/data/out/.x.tmp")
    assert str(explain(full, {"--b": "/data/out"})) == (
        "--b /data/out: /data/out/.x.tmp: No space left on device; "
        "free some space there, then run the same command again"
    )
    assert "there is not enough memory" in str(explain(MemoryError(), {}))
    assert explain(KeyError("x"), {}) is None


@pytest.fixture
def _no_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attach what `setup` is given anew, and detach it afterwards."""
    monkeypatch.setattr(log.logger, "handlers", [])
    monkeypatch.setattr(log.logger, "propagate", False)
    monkeypatch.setattr(log, "_handlers", [])
    monkeypatch.setattr(log, "_options", log.LogOptions())
    monkeypatch.setattr(log.live_line, "is_enabled", False)


@pytest.mark.usefixtures("_no_handlers")
def test_log_file_has_times_and_what_quiet_keeps_from_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @cli.run
    def command(argv: object = None) -> int:
        log.logger.info("train  step 1")
        log.logger.warning("slow")
        raise DataError("a.csv: no rows")

    path = tmp_path / "new" / "train.log"
    assert command(["--quiet", f"--log_file={path}"]) == 1
    assert capsys.readouterr().err == "warning: slow\na.csv: no rows\n"
    times, texts = zip(*(line.split(" ", 1) for line in path.read_text().splitlines()), strict=True)
    assert texts == ("train  step 1", "warning: slow", "a.csv: no rows")
    assert all(datetime.fromisoformat(time).tzinfo for time in times) and sorted(times) == list(times)
    assert command([f"--log_file={path}"]) == 1
    assert len(path.read_text().splitlines()) == 6, "a further run appends"


@pytest.mark.usefixtures("_no_handlers")
def test_log_format_json_is_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    @cli.run
    def command(argv: object = None) -> int:
        log.log_facts("train  1 step\n\x1b", event="step", step=0, losses={"ctr": float("nan")})
        log.logger.warning("%s", "slow")
        raise DataError("a.csv:\nno rows")

    assert command(["--log_format", "json"]) == 1
    first, second, third = map(json.loads, capsys.readouterr().err.splitlines())
    assert datetime.fromisoformat(first.pop("time")).tzinfo
    assert first == {
        "level": "info",
        "rank": 0,
        "message": "train  1 step\n\x1b",
        "event": "step",
        "step": 0,
        "losses": {"ctr": None},
    }
    assert (second["level"], second["message"]) == ("warning", "slow")
    assert (third["level"], third["message"]) == ("error", "a.csv:\n    no rows")


@pytest.mark.usefixtures("_no_handlers")
def test_log_file_has_the_traceback_of_a_bug(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @cli.run
    def command(argv: object = None) -> int:
        raise ZeroDivisionError("of a bug")

    with pytest.raises(ZeroDivisionError):
        command([f"--log_file={tmp_path / 'a.log'}"])
    text = (tmp_path / "a.log").read_text()
    assert "unexpected ZeroDivisionError: of a bug" in text and 'raise ZeroDivisionError("of a bug")' in text
    assert "Traceback" not in capsys.readouterr().err, "Python prints it there"


@pytest.mark.usefixtures("_no_handlers")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--log_file=/proc/no/a.log"], "--log_file /proc/no/a.log: No such file or directory"),
        (["--log_file", "s3://bucket/a.log"], "--log_file s3://bucket/a.log: must be a local file"),
        (["--log_format=xml"], "argument --log_format: invalid choice: 'xml' (choose from "),
    ],
)
def test_log_flags_that_are_not_valid_are_usage_errors(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @cli.run
    def command(argv: object = None) -> int:
        raise AssertionError

    assert command(words) == 2
    assert message in capsys.readouterr().err
