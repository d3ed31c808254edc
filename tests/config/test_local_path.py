from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, problems_of, replaced
from tzrec.config.load import load_config
from tzrec.config.local_path import local_path, local_path_problem, without_file_scheme
from tzrec.errors import UsageError

URLS = [
    "s3://bucket/a",
    "oss://bucket/a",
    "hdfs://namenode:8020/a",
    "memory://a",
    "gs:/a",
    "abc+d://x",
]


@pytest.mark.parametrize("path", URLS)
def test_url_is_no_local_path(path: str) -> None:
    assert local_path_problem(path).startswith(f'"{path}" is a URL; only a local path can be used')
    with pytest.raises(UsageError, match=r"--export_dir: .* is a URL"):
        local_path("--export_dir", Path(path))  # has lost a slash


@pytest.mark.parametrize("path", ["file:///data/x", "file:/data/x", "file://localhost/data/x", "FILE:///data/x"])
def test_file_url_is_its_path(path: str) -> None:
    assert without_file_scheme(path) == "/data/x"
    assert local_path("--export_dir", path) == Path("/data/x")


def test_file_url_that_is_a_path_object_is_its_path() -> None:
    assert local_path("--export_dir", Path("file:///data/x")) == Path("/data/x")
    with pytest.raises(UsageError, match='"file://host/a" is a URL'):
        local_path("--export_dir", "file://host/a")


@pytest.mark.parametrize("path", ["a/b", "/a/b", "../a", "a:b", "C:/a", "", "模型/a b'*", "a/s3://b"])
def test_local_path_is_unchanged(path: str) -> None:
    assert without_file_scheme(path) == path
    assert local_path_problem(path) == ""


def test_model_dir_of_a_config_is_local(tmp_path: Path) -> None:
    directory = "experiments/mmoe"
    assert f'model_dir: "{directory}"' in MMOE
    (problem,) = problems_of(tmp_path, replaced(MMOE, directory, "s3://bucket/first"))
    assert problem.startswith('my.config:4:1 model_dir: "s3://bucket/first" is a URL; only a local path can be used')
    path = tmp_path / "a.config"
    path.write_text(replaced(MMOE, directory, "file:///data/first"))
    assert load_config(str(path)).model_dir == "/data/first"
    edits = {"train_config.fine_tune_checkpoint": "file:///data/old"}
    assert load_config(str(path), edits).train_config.fine_tune_checkpoint == "/data/old"
