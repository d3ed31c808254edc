"""Log lines and messages: a name or a value forges none."""

from __future__ import annotations

import logging

import pytest

from tzrec import cli, log
from tzrec.errors import DataError, Problem, explain, indent_lines, shorten_middle

FORGED = "a\nerror: forged\x1b[2J\u2028b\r\ud800"


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_log_line_of_value_with_control_characters_stays_one_record(
    level: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log.logger, "handlers", [])
    log.setup()
    log.logger.log(level, "data   %s", FORGED)
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("data   a")
    assert second == "    error: forged\\x1b[2J\\u2028b\\r\\ud800"


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
