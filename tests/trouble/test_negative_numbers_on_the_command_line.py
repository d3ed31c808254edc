"""Numbers that a flag does not take end a command with the flag and what it takes, before anything is read."""

from __future__ import annotations

import importlib

import pytest

from tzrec import cli

PREDICT = ("tzrec.predict", "--model_path", "m", "--predict_input_path", "i", "--predict_output_path", "o")
FG = ("tzrec.tools.fg_encode", "--pipeline_config", "c", "--output_path", "o")
MAKE_DATA = ("tzrec.tools.make_data", "--pipeline_config", "c", "--output_dir", "o")
TAOBAO = ("tzrec.tools.make_taobao",)


@pytest.mark.parametrize(
    ("command", "flag", "value", "takes"),
    [
        (PREDICT, "--batch_size", "-5", "a whole number from 1 to 2147483647"),
        (PREDICT, "--batch_size", "0", "a whole number from 1 to 2147483647"),
        (PREDICT, "--batch_size", "1.5", "a whole number from 1 to 2147483647"),
        (PREDICT, "--batch_size", "9" * 30, "a whole number from 1 to 2147483647"),
        (PREDICT, "--batch_size", "nan", "a whole number from 1 to 2147483647"),
        (PREDICT, "--predict_threads", "-1", "a whole number from 0 to 1024"),
        (PREDICT, "--predict_threads", "100000", "a whole number from 0 to 1024"),
        (PREDICT, "--predict_steps", "-1", "a whole number from 1 to 2147483647"),
        (PREDICT, "--predict_steps", "0", "a whole number from 1 to 2147483647"),
        (PREDICT, "--debug_level", "-1", "a whole number from 0 to 2147483647"),
        (FG, "--batch_size", "-1", "a whole number from 1 to 2147483647"),
        (FG, "--processes", "0", "a whole number from 1 to 2147483647"),
        (TAOBAO, "--train_rows", "-1", "a whole number from"),
        (TAOBAO, "--seed", "-1", "a whole number from 0 to 2147483647"),
        (
            ("tzrec.tools.make_data", "--pipeline_config", "c", "--output_dir", "o"),
            "--seed",
            "-1",
            "a whole number from 0",
        ),
        (("tzrec.tools.feature_importance", "--pipeline_config", "c"), "--num_repeats", "0", "a whole number from 1"),
        (("tzrec.tools.feature_selection", "--pipeline_config", "c"), "--topk", "-2", "a whole number from 1"),
    ],
)
def test_flag_with_number_out_of_bounds_returns_2(
    command: tuple[str, ...], flag: str, value: str, takes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module, *arguments = command
    assert importlib.import_module(module).main([*arguments, f"{flag}={value}"]) == 2
    assert f"argument {flag}: '{value}' is not {takes}" in capsys.readouterr().err


def test_whole_number_accepts_its_bounds() -> None:
    assert [cli.whole_number(-2, 3)(text) for text in ("-2", "0", "3")] == [-2, 0, 3]
