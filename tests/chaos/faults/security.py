"""Hostile configs, checkpoints, packages and names."""

from __future__ import annotations

import os
import pickle
import shutil
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import tzrec
from tests.chaos.fault import Outcome, fault
from tests.chaos.workspace import Workspace, checkpoints, outcome
from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.manifest import NAME, CheckpointManifest
from tzrec.errors import ConfigError, TzrecError
from tzrec.serving.archive import archive_problem

FEATURE = "feature_configs {"


class _Planted:
    """Object whose unpickling creates a file."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._mark),)


def refusal(config: Path) -> str:
    """Return the message with which `check` and `train` refuse a config, within 20 seconds."""
    start = time.monotonic()
    try:
        problems = tzrec.check(config)
    except ConfigError as error:
        problems = list(error.problems)
    assert problems and time.monotonic() - start < 20
    try:
        tzrec.train(config)
    except ConfigError as error:
        return str(error).splitlines()[0]
    raise AssertionError("the config was trained")


def is_manifest(path: Path) -> bool:
    return path.name == NAME


def write_manifest(checkpoint: Path) -> None:
    """Give a manifest the sizes and checksums of the files as they are."""
    manifest = CheckpointManifest.read(checkpoint)
    files = {
        path.relative_to(checkpoint).as_posix(): FileRecord.of(path)
        for path in checkpoint.rglob("*")
        if path.is_file() and not is_manifest(path)
    }
    replace(manifest, files=files).write(checkpoint)


@fault("pickles that run code planted in a checkpoint, with valid checksums", times=3)
def planted_pickles(workspace: Workspace) -> Outcome:
    data = workspace.write_rows("data", [200])
    config = workspace.write_config(train=data, num_rows=200)
    tzrec.train(config)
    (newest,) = checkpoints(workspace.directory / "model")[-1:]
    mark, kept, message = workspace.directory / "executed", workspace.directory / "kept", ""
    shutil.copytree(newest, kept)
    planted = pickle.dumps(_Planted(mark))
    for name in (".metadata", "__0_0.distcp", ".metadata deep"):
        shutil.rmtree(newest)
        shutil.copytree(kept, newest)
        path = newest / "model" / name.split()[0]
        if name == "__0_0.distcp":
            torch.save(_Planted(mark), path)
        else:
            path.write_bytes(b"\x80\x04" + b"(" * 2_000_000 + b"." if "deep" in name else planted)
        write_manifest(newest)
        try:
            tzrec.evaluate(config, checkpoint_path=newest, eval_input_path=data)
        except TzrecError as error:
            message = message or str(error)
        else:
            raise AssertionError(f"{name} was read")
        assert not mark.exists(), f"{name} was executed"
    return Outcome(message=message.splitlines()[0])


@fault("a regular expression of the config that backtracks without end", short=True)
def regex_without_end(workspace: Workspace) -> Outcome:
    data = workspace.write_rows("data", [100])
    part = 'part_optimizers { regex_pattern: "((.)+)+X" sgd_optimizer { lr: 0.1 } constant_learning_rate {} }'
    config = workspace.write_config(train=data, num_rows=100, edit={"dense_optimizer {": f"dense_optimizer {{ {part}"})
    start = time.monotonic()
    tzrec.train(config)
    assert time.monotonic() - start < 60
    return outcome(workspace.directory / "model", 100)


@fault("names of a config that lead out of a directory or forge a line", times=5)
def names_that_are_paths(workspace: Workspace) -> Outcome:
    data, message = workspace.write_rows("data", [10]), ""
    for name in ("../../x", "/etc/x", "a\\nerror: forged", "a\\000b", "x" * 4000):
        feature = f'{FEATURE} raw_feature {{ feature_name: "{name}" expression: "user:price" }} }}\n{FEATURE}'
        config = workspace.write_config(train=data, num_rows=10)
        text = config.read_text()
        config.write_text(text.replace(FEATURE, feature, 1))
        message = message or refusal(config)
        assert not (workspace.directory / "model").exists()
    return Outcome(message=message)


@fault("configs without bounds: depth of 100,000, numbers of 5,000 digits", times=3)
def configs_without_bounds(workspace: Workspace) -> Outcome:
    texts = {
        "deep.json": '{"model_config":' + "[" * 100_000,
        "digits.json": '{"train_config":{"num_steps":' + "1" * 5000 + "}}",
        "deep.config": "feature_configs { sequence_feature { " * 20_000,
    }
    messages = []
    for name, text in texts.items():
        path = workspace.directory / name
        path.write_text(text)
        messages.append(refusal(path))
    return Outcome(message=messages[0])


@fault("archives of machine code that leave their directory or fill the disk", times=4)
def hostile_archives(workspace: Workspace) -> Outcome:
    path, messages = workspace.directory / "model.pt2", []
    for name, compression in (
        ("../../x", zipfile.ZIP_STORED),
        ("/etc/x", zipfile.ZIP_STORED),
        ("a/data.pkl", zipfile.ZIP_STORED),
        ("a/bomb", zipfile.ZIP_DEFLATED),
    ):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr(name, bytes(1 << 24))
        messages.append(archive_problem(path))
        assert messages[-1], name
    return Outcome(message=messages[0])


@fault("a newline and an escape character in the name of a file")
def forged_lines(workspace: Workspace) -> Outcome:
    workspace.write_rows("data", [50])
    forged = workspace.directory / "data" / "b\nerror: forged\x1b[2J.parquet"
    forged.write_bytes(b"PAR1 this is not Parquet PAR1")
    config = workspace.write_config(train=f"{workspace.directory}/data/*.parquet", num_rows=50)
    result = workspace.train(config)
    message = result.assert_refused("forged")
    assert not any(line.startswith("error: forged") for line in result.output.splitlines())
    assert "\x1b" not in result.output
    return Outcome(message=message)
