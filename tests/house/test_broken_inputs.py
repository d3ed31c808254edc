"""Broken inputs of every command and every function of the API: each is an error of tzrec that names what is wrong."""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tzrec
from tests.test_api import write_files
from tzrec import cli
from tzrec.errors import TzrecError
from tzrec.protos.models.multi_task_rank_pb2 import MMoE

UNREADABLE = ("missing", "folder", "NUL", "long", "below a file", "in /proc", "no text")
"""Paths that no file can be read from, whatever it is read as."""
BROKEN = (*UNREADABLE, "junk", "empty", "deep JSON", "number of 5,000 digits", "deep text")
"""Inputs that are neither a config, nor data, nor a package."""
NOT_EMPTY = tuple(kind for kind in BROKEN if kind != "empty")
"""Inputs that are broken also where an empty file is valid."""
UNWRITABLE = ("NUL", "long", "below a file", "in /proc", "no text")
"""Paths that nothing can be written to."""

API: Mapping[str, tuple[Mapping[str, Any], Mapping[str, tuple[str, ...]]]] = {
    "train": ({"config": "my.config", "model_dir": "new"}, {"config": BROKEN, "model_dir": (*UNWRITABLE, "junk")}),
    "evaluate": (
        {"config": "model/pipeline.config"},
        {
            "config": BROKEN,
            "checkpoint_path": ("missing", "junk", "in /proc", "NUL", "long"),
            "eval_input_path": BROKEN,
        },
    ),
    "export": (
        {"config": "model/pipeline.config", "export_dir": "package"},
        {"config": BROKEN, "export_dir": (*UNWRITABLE, "junk"), "checkpoint_path": ("missing", "junk", "NUL", "long")},
    ),
    "predict": (
        {"input_path": "log.csv", "output_path": "scores", "config": "model/pipeline.config"},
        {
            "input_path": BROKEN,
            "output_path": (*UNWRITABLE, "junk"),
            "config": BROKEN,
            "checkpoint_path": ("missing", "junk", "NUL", "long"),
        },
    ),
    "check": ({"config": "my.config"}, {"config": UNREADABLE}),
    "init": (
        {"train_input_path": "log.csv", "label_fields": ["clk"], "output_config": "first.config"},
        {"train_input_path": BROKEN, "output_config": (*UNWRITABLE, "folder"), "model_dir": ("NUL", "no text")},
    ),
    "load": ({"path": "package"}, {"path": BROKEN}),
    "tune": (
        {"config": "my.config", "model_dir": "new"},
        {"config": BROKEN, "space": NOT_EMPTY, "model_dir": (*UNWRITABLE, "junk")},
    ),
    "build_config": ({"features": [], "model": MMoE(), "label_fields": ["clk"], "model_dir": "built"}, {}),
}
"""Function -> valid arguments, and for those that are paths the kinds of broken files."""

WRONG_TYPES = (5, b"x", ["a", 3], float("nan"), object())

EDITS: tuple[tuple[Any, str], ...] = (
    ({"": 1}, ""),
    ({"train_config.num_steps": "x" * 5000}, "train_config.num_steps"),
    ({"train_config.num_steps": -1}, "train_config.num_steps"),
    ({"train_config.num_steps": float("nan")}, "train_config.num_steps"),
    ({"train_config.num_steps": 10**400}, "train_config.num_steps"),
    ({"train_config.num_steps": {"a": 1}}, "train_config.num_steps"),
    ({"train_config": [1, 2]}, "train_config"),
    ({"feature_configs[99].id_feature.num_buckets": 3}, "feature_configs[99]"),
    ({"feature_configs[:].id_feature.num_buckets": None}, "num_buckets"),
    ({"model_dir": "\ud800"}, "model_dir"),
    ({"no_such.field": 1}, "no_such"),
    ({"[[[": 1}, "[[["),
    ({"a" * 5000: 1}, "aaa"),
    ({"model_config": "{" * 5000}, "model_config"),
)
"""Edits that no config takes, and what the error must name."""


def write_broken_files(root: Path) -> Mapping[str, str]:
    """Write files that nothing can be read from; returns the path of each kind."""
    (root / "folder").mkdir()
    (root / "folder" / ".x").write_text("x")
    (root / "junk").write_bytes(bytes(range(256)) * 40)
    (root / "empty").write_bytes(b"")
    (root / "deep.json").write_text('{"model_config":' + "[" * 100_000)
    (root / "digits.json").write_text('{"train_config":{"num_steps":' + "1" * 5000 + "}}")
    (root / "deep.config").write_text("feature_configs { sequence_feature { " * 2500)
    return {
        "missing": "missing",
        "folder": "folder",
        "junk": "junk",
        "empty": "empty",
        "deep JSON": "deep.json",
        "number of 5,000 digits": "digits.json",
        "deep text": "deep.config",
        "NUL": "a\0b",
        "long": "x" * 5000,
        "below a file": "junk/x",
        "in /proc": "/proc/self/nothing/x",
        "no text": os.fsdecode(b"\xff\xfe"),
    }


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Files in the current folder that also has a config, its data and a trained model."""
    root = tmp_path_factory.mktemp("broken")
    before = Path.cwd()
    os.chdir(root)
    write_files(root)
    tzrec.train("my.config", edit={"train_config.num_epochs": 1})
    yield write_broken_files(root)
    os.chdir(before)


def complaint(call: Callable[[], Any]) -> str:
    """Call a function; returns the message of its error, which must be one of tzrec."""
    with pytest.raises(TzrecError) as caught:
        call()
    return str(caught.value)


def is_named(value: object, message: str) -> bool:
    """Return True if a message contains a value, or its beginning, as it is or as Python writes it."""
    return any(text[:150] in message for text in (str(value), repr(value)[1:-1]))


def test_every_function_of_the_api_is_listed() -> None:
    functions = {name for name in tzrec.__all__ if callable(getattr(tzrec, name)) and name[0].islower()}
    assert functions - {"__version__"} == set(API)


@pytest.mark.parametrize("function", API)
def test_function_with_broken_file_raises_error_that_names_it(function: str, broken: Mapping[str, str]) -> None:
    valid, kinds_by_name = API[function]
    for name, kinds in kinds_by_name.items():
        for kind in kinds:
            message = complaint(partial(getattr(tzrec, function), **{**valid, name: broken[kind]}))
            assert is_named(broken[kind], message), (name, kind, message[:300])


@pytest.mark.parametrize("function", API)
def test_function_with_argument_of_wrong_type_raises_error_that_names_it(
    function: str, broken: Mapping[str, str]
) -> None:
    for name in API[function][0]:
        for value in WRONG_TYPES:
            message = complaint(partial(getattr(tzrec, function), **{**API[function][0], name: value}))
            assert message.startswith(f"{function}: {name} must be ")
            assert is_named(value, message)


@pytest.mark.parametrize("index", range(len(EDITS)))
def test_edit_without_sense_raises_error_that_names_it(index: int, broken: Mapping[str, str]) -> None:
    edit, name = EDITS[index]
    message = complaint(lambda: tzrec.train("my.config", edit=edit))
    assert name in message and "--edit_config_json" in message
    assert all(len(line) < 3000 for line in message.splitlines())


CONFIG, MODEL, PACKAGE = "--pipeline_config=my.config", "--pipeline_config=model/pipeline.config", "--model_path=folder"
DATA = "--predict_input_path=log.csv"

COMMANDS: Mapping[str, tuple[tuple[str, ...], Mapping[str, tuple[str, ...]]]] = {
    "train_eval": (
        (CONFIG, "--model_dir=new"),
        {
            "--pipeline_config": BROKEN,
            "--model_dir": (*UNWRITABLE, "junk"),
            "--train_input_path": BROKEN,
            "--fine_tune_checkpoint": ("missing", "junk", "NUL", "long"),
        },
    ),
    "tune": (
        (CONFIG, "--model_dir=new"),
        {"--pipeline_config": BROKEN, "--space": NOT_EMPTY, "--model_dir": (*UNWRITABLE, "junk")},
    ),
    "eval": (
        (MODEL,),
        {"--pipeline_config": UNREADABLE, "--checkpoint_path": ("missing", "junk"), "--eval_input_path": BROKEN},
    ),
    "export": (
        (MODEL, "--export_dir=package"),
        {
            "--pipeline_config": UNREADABLE,
            "--export_dir": (*UNWRITABLE, "junk"),
            "--asset_files": ("missing", "folder", "NUL", "long"),
            "--sample_input_path": UNREADABLE,
        },
    ),
    "predict": (
        (PACKAGE, DATA, "--predict_output_path=scores"),
        {"--model_path": BROKEN, "--predict_input_path": ("NUL",), "--predict_output_path": ("NUL",)},
    ),
    "check": ((CONFIG,), {"--pipeline_config": BROKEN, "--data": UNREADABLE}),
    "plan": ((CONFIG, "--ranks=2"), {"--pipeline_config": BROKEN}),
    "inspect": ((), {"--model_path": BROKEN}),
    "index": (
        ("--item_input_path=log.csv", "--id_field=user", "--embedding_field=clk", "--index_output_dir=user"),
        {"--item_input_path": BROKEN, "--index_output_dir": (*UNWRITABLE, "junk")},
    ),
    "doctor": ((), {"--directory": ("NUL", "no text", "junk", "missing", "long", "in /proc")}),
    "tools.init": (
        ("--train_input_path=log.csv", "--label_fields=clk", "--output_config=first.config"),
        {"--train_input_path": BROKEN, "--output_config": (*UNWRITABLE, "folder"), "--report": ("junk", "NUL")},
    ),
    "tools.suggest": (
        (CONFIG,),
        {"--pipeline_config": BROKEN, "--output_config": (*UNWRITABLE, "folder"), "--train_input_path": BROKEN},
    ),
    "tools.fg_encode": (
        (CONFIG, "--output_path=encoded", "--processes=1"),
        {"--pipeline_config": BROKEN, "--output_path": (*UNWRITABLE, "junk"), "--input_path": BROKEN},
    ),
    "tools.create_fg_json": (
        (CONFIG, "--fg_output_dir=fg"),
        {"--pipeline_config": BROKEN, "--fg_output_dir": (*UNWRITABLE, "junk")},
    ),
    "tools.add_feature_info_to_config": (
        ("--template_model_config_path=my.config", "--config_table_path=log.csv", "--model_config_path=c"),
        {"--template_model_config_path": UNREADABLE, "--config_table_path": BROKEN},
    ),
    "tools.feature_importance": (
        (MODEL,),
        {"--pipeline_config": BROKEN, "--checkpoint_path": ("missing", "junk", "long")},
    ),
    "tools.feature_selection": ((MODEL,), {"--pipeline_config": BROKEN}),
    "tools.make_data": (
        (CONFIG, "--output_dir=made", "--train_rows=1", "--eval_rows=1"),
        {"--pipeline_config": BROKEN, "--output_dir": UNWRITABLE},
    ),
    "tools.make_taobao": (
        ("--output_dir=made", "--train_rows=10", "--eval_rows=10"),
        {"--output_dir": (*UNWRITABLE, "junk", "folder")},
    ),
    "tools.convert_easyrec_config": (
        ("--easyrec_config_path=my.config", "--output_tzrec_config_path=new.config"),
        {
            "--easyrec_config_path": BROKEN,
            "--output_tzrec_config_path": (*UNWRITABLE, "folder"),
            "--fg_json_path": BROKEN,
        },
    ),
    "tools.import_checkpoint": (
        ("--pipeline_config=my.config", "--checkpoint_path=model", "--model_dir=new"),
        {"--pipeline_config": BROKEN, "--checkpoint_path": ("missing", "junk", "long")},
    ),
    "tools.list_distcp_param": ((), {"--checkpoint_path": ("missing", "junk", "long")}),
    "tools.create_faiss_index": (
        (
            *("--embedding_input_path=log.csv", "--id_field=user", "--embedding_field=clk"),
            *("--index_output_dir=user", "--index_type=HNSWFlatIP"),
        ),
        {"--embedding_input_path": BROKEN, "--index_output_dir": (*UNWRITABLE, "junk")},
    ),
    "tools.hitrate": (
        (
            *("--user_gt_input=log.csv", "--request_id_field=user", "--gt_items_field=user"),
            *("--user_embedding_field=clk", "--item_embedding_input=log.csv", "--item_id_field=user"),
            *("--item_embedding_field=clk", "--total_hitrate_output=total", "--index_type=ExactIP"),
        ),
        {
            "--user_gt_input": BROKEN,
            "--item_embedding_input": BROKEN,
            "--total_hitrate_output": (*UNWRITABLE, "junk"),
            "--hitrate_details_output": (*UNWRITABLE, "junk"),
        },
    ),
    "new": (("mmoe",), {"--output": (*UNWRITABLE, "folder")}),
    "format": (("my.config",), {}),
    "diff": (("my.config", "my.config"), {}),
    "completion": ((), {}),
    "schema": ((), {"--output": (*UNWRITABLE, "folder")}),
    "tools.config_reference": ((), {"--output": (*UNWRITABLE, "folder")}),
    "demo": ((), {"--output_dir": (*UNWRITABLE, "junk")}),
    "serve": ((), {}),
    "replay": (("log.csv",), {"--model_path": ("missing", "junk", "long")}),
    "materialize": ((), {}),
    "tools.report": ((), {}),
}
"""Module of a command -> valid arguments, and for the flags that are paths the kinds of broken files."""


def modules() -> set[str]:
    """List the modules of all commands, without `tzrec.`."""
    tools = Path(tzrec.__file__).parent / "tools"
    written = {f"tools.{path.stem}" for path in tools.glob("*.py") if "\ndef main(" in path.read_text()}
    return written | {module.removeprefix("tzrec.") for module, _ in cli.COMMANDS.values()}


def test_every_command_is_listed() -> None:
    assert modules() == set(COMMANDS)


@pytest.fixture
def _own_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command attach its log to the captured stream of this test."""
    monkeypatch.setattr(logging.getLogger("tzrec"), "handlers", [])


@pytest.mark.usefixtures("_own_handler")
@pytest.mark.parametrize("module", COMMANDS)
def test_command_with_broken_file_returns_status_and_names_it(
    module: str, broken: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    valid, kinds_by_flag = COMMANDS[module]
    for flag, kinds in kinds_by_flag.items():
        others = [word for word in valid if not word.startswith(f"{flag}=")]
        for kind in kinds:
            status = importlib.import_module(f"tzrec.{module}").main([*others, f"{flag}={broken[kind]}"])
            message = "".join(capsys.readouterr())
            assert status in (1, 2), (flag, kind)
            assert is_named(broken[kind], message), (flag, kind, message[:300])
            assert not re.search(r"Traceback|this is a bug in tzrec|\x1b|\0", message)
