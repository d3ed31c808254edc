"""A URL as model_dir, export_dir or checkpoint is that of a store, or refused, but no local folder; file:///x is x."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

import tzrec
from tests.fixtures.parquet_run import write_config, write_file
from tzrec.errors import ConfigError, StoreError, TzrecError


@pytest.mark.parametrize(("url", "package"), [("s3://bucket/first", "tzrec[s3]"), ("oss://bucket/first", "ossfs")])
def test_url_of_a_store_without_its_package_is_refused_by_every_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, package: str
) -> None:
    if find_spec("s3fs" if "s3" in package else package):
        pytest.skip(f"{package} is installed")
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path, "t.parquet")
    config = write_config(tmp_path, model=url)
    before = sorted(tmp_path.rglob("*"))
    (problem,) = tzrec.check(config)
    assert problem.field == "model_dir"
    assert problem.message.startswith(f'"{url}": a package is missing: pip install ')
    assert package in problem.message
    for run in (
        lambda: tzrec.train(config),
        lambda: tzrec.evaluate(config),
        lambda: tzrec.export(config, "exported"),
        lambda: tzrec.predict("data", "out", config=config),
    ):
        with pytest.raises(ConfigError, match="a package is missing"):
            run()
    for arguments in ({"export_dir": url}, {"export_dir": "x", "checkpoint_path": url}):
        with pytest.raises(TzrecError, match="a package is missing"):
            tzrec.export(config, **arguments, edit={"model_dir": "model"})
    with pytest.raises(TzrecError, match="a package is missing"):
        tzrec.load(url)
    assert sorted(tmp_path.rglob("*")) == before


def test_url_that_cannot_be_reached_is_an_error_and_no_local_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path, "t.parquet")
    with pytest.raises(StoreError, match="hdfs://node/first"):
        tzrec.train(write_config(tmp_path, model="hdfs://node/first"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.config", "data"]


def test_url_of_a_store_as_model_dir_holds_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path, "t.parquet")
    config = write_config(tmp_path, model="memory://first")
    assert tzrec.check(config) == []
    assert str(tzrec.train(config).model_dir) == "memory://first"
    assert tzrec.predict("data", "out", config=config) == 150
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.config", "data", "out"]


def test_file_url_as_model_dir_is_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path, "t.parquet")
    config = write_config(tmp_path, train=f"file://{tmp_path}/data", model=f"file://{tmp_path}/model")
    assert tzrec.check(config) == []
    run = tzrec.train(config)
    assert run.model_dir == tmp_path / "model"
    saved = str(run.model_dir / "pipeline.config")
    assert tzrec.predict(f"file://{tmp_path}/data", f"file://{tmp_path}/out", config=saved) == 150
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.config", "data", "model", "out"]
