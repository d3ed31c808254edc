"""Python API: every function, and the examples of their docstrings."""

from __future__ import annotations

import doctest
import functools
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import tzrec
from tzrec import api

SMALL = """
train_input_path: "log.csv" eval_input_path: "log.csv" model_dir: "model"
train_config {
  num_epochs: 20
  sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
  dense_optimizer { adam_optimizer { lr: 0.01 } constant_learning_rate {} }
  use_tensorboard: false
}
data_config {
  dataset_type: CsvDataset with_header: true fg_mode: FG_DAG batch_size: 8 label_fields: ["clk"]
}
feature_configs { id_feature { feature_name: "user" expression: "user:user" num_buckets: 10 embedding_dim: 4 } }
model_config {
  feature_groups { group_name: "all" feature_names: ["user"] group_type: DEEP }
  mmoe {
    num_expert: 2
    expert_mlp { hidden_units: [4] }
    task_towers {
      tower_name: "ctr" label_name: "clk" losses { binary_cross_entropy {} } metrics { auc { thresholds: 0 } }
    }
  }
}
"""


def write_files(directory: Path) -> None:
    """Write `my.config` and `log.csv`, in which users 0 and 1 click, 2 and 3 do not."""
    (directory / "my.config").write_text(SMALL)
    lines = [f"{row % 4},{int(row % 4 < 2)}" for row in range(64)]
    (directory / "log.csv").write_text("\n".join(["user,clk", *lines]) + "\n")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with `my.config` and `log.csv`."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@functools.cache
def trained_directory() -> Path:
    """A folder with `my.config`, `log.csv`, the directory `model` of a trained model and its package `package`."""
    directory = Path(tempfile.mkdtemp())
    write_files(directory)
    previous = os.getcwd()
    os.chdir(directory)
    try:
        tzrec.train("my.config")
        tzrec.export("model/pipeline.config", "package")
    finally:
        os.chdir(previous)
    return directory


FUNCTIONS = [name for name in api.__all__ if name != "Run"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(trained_directory(), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(api, name), name, globs={"tzrec": tzrec})
    assert test.examples, "no Example"
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert result.failed == 0


def test_train_returns_metrics_and_checkpoint(directory: Path) -> None:
    run = tzrec.train(directory / "my.config", model_dir=directory / "out", edit={"eval_input_path": "log.csv"})
    assert run.metrics["auc_ctr"] == 1.0
    assert run.model_dir == directory / "out"
    assert (run.model_dir / f"model.ckpt-{run.step}").is_dir()


def test_train_with_invalid_edit_raises_before_start(directory: Path) -> None:
    with pytest.raises(tzrec.ConfigError, match="num_step"):
        tzrec.train("my.config", model_dir=directory / "out", edit={"train_config.num_step": 3})
    assert not (directory / "out").exists()


def test_predict_without_model_raises(directory: Path) -> None:
    with pytest.raises(tzrec.UsageError, match="either a package or a config"):
        tzrec.predict("log.csv", "scores")


def test_load_of_missing_package_raises() -> None:
    with pytest.raises(tzrec.PackageError, match="is not a package"):
        tzrec.load("/nowhere")


def test_check_returns_problem_with_location(directory: Path) -> None:
    (directory / "my.config").write_text(SMALL.replace('["user"]', '["usr"]'))
    (problem,) = tzrec.check("my.config")
    assert problem.location.startswith("my.config:")
    assert 'did you mean "user"?' in problem.message


@pytest.mark.parametrize("name", ["check", "export", "predict"])
def test_functions_stay_functions_after_import_of_command_module(name: str) -> None:
    module = importlib.import_module(f"tzrec.{name}")
    assert getattr(tzrec, name) is getattr(api, name)
    assert callable(module.main)


def test_import_order_does_not_change_functions() -> None:
    code = "import tzrec.cli, tzrec.predict, tzrec; print(tzrec.predict.__module__, tzrec.predict.__name__)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["tzrec.api", "predict"]


def test_train_writes_files_with_permissions_of_the_umask(directory: Path) -> None:
    before = os.umask(0o077)
    try:
        tzrec.train("my.config", edit={"train_config.num_epochs": 1, "train_config.use_tensorboard": True})
    finally:
        os.umask(before)
    written = list((directory / "model").rglob("*"))
    assert len(written) > 8
    assert [path for path in written if path.stat().st_mode & 0o077] == []
