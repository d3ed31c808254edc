"""A URL as model_dir, export_dir or checkpoint is refused before anything is written; file:///x is x."""

from __future__ import annotations

from pathlib import Path

import pytest

import tzrec
from tests.fixtures.parquet_run import write_config, write_file
from tzrec.errors import ConfigError, UsageError

URLS = ["s3://bucket/first", "oss://bucket/first", "hdfs://node/first", "memory://first"]


@pytest.mark.parametrize("url", URLS)
def test_url_as_model_dir_is_refused_by_every_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path, "t.parquet")
    config = write_config(tmp_path, model=url)
    before = sorted(tmp_path.rglob("*"))
    (problem,) = tzrec.check(config)
    assert problem.field == "model_dir"
    assert f'"{url}" is a URL; only a local path can be used' in problem.message
    for run in (
        lambda: tzrec.train(config),
        lambda: tzrec.evaluate(config),
        lambda: tzrec.export(config, "exported"),
        lambda: tzrec.predict("data", "out", config=config),
    ):
        with pytest.raises(ConfigError, match="is a URL"):
            run()
    for arguments in ({"export_dir": url}, {"export_dir": "x", "checkpoint_path": url}):
        with pytest.raises(UsageError, match=r"(export_dir|checkpoint_path): .* is a URL"):
            tzrec.export(config, **arguments, edit={"model_dir": "model"})
    with pytest.raises(UsageError, match=r"package: .* is a URL"):
        tzrec.load(url)
    assert sorted(tmp_path.rglob("*")) == before


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
