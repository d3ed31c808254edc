"""A run whose data, model directory, package and scores are in S3, on one and on two ranks, killed and continued."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.chaos.workspace import DEFAULTS, Workspace, checkpoints, kill_group, outcome
from tests.stores.conftest import KEYS, free_port

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("endpoint")]
pytest.importorskip("s3fs")
assert DEFAULTS
NUM_ROWS = 1500


class Bucket:
    """Folder of the bucket for one test, and a directory for its copies."""

    def __init__(self, directory: Path) -> None:
        import fsspec

        self.workspace = Workspace(directory / "workspace")
        self.root = f"bucket/{directory.name}"
        self.url = f"s3://{self.root}"
        self.filesystem = fsspec.filesystem("s3", use_listings_cache=False)

    def write_config(self, name: str = "model", **values: object) -> Path:
        """Upload rows, and write the config of a run from and to the store."""
        data = self.workspace.write_rows("data", [NUM_ROWS - 500, 500])
        for path in sorted(Path(data).parent.iterdir()):
            self.filesystem.put_file(str(path), f"{self.root}/data/{path.name}")
        defaults = {"train": f"{self.url}/data/*.parquet", "num_rows": NUM_ROWS, "model_dir": f"{self.url}/{name}"}
        return self.workspace.write_config(name, **{**defaults, **values})

    def names(self, folder: str) -> list[str]:
        """List the files of a folder."""
        return sorted(
            name.removeprefix(f"{self.root}/{folder}/") for name in self.filesystem.find(f"{self.root}/{folder}")
        )

    def has_checkpoint(self, name: str, step: int) -> bool:
        return bool(self.filesystem.find(f"{self.root}/{name}/model.ckpt-{step}/model"))

    def copy(self, name: str) -> Path:
        """Copy a model directory to this machine."""
        target = self.workspace.directory / "copies" / name
        shutil.rmtree(target, ignore_errors=True)
        self.filesystem.get(f"{self.root}/{name}/", f"{target}/", recursive=True)
        return target


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Bucket(tmp_path)


def test_train_continue_evaluate_and_predict(bucket: Bucket) -> None:
    import tzrec

    values = {"eval": f"{bucket.url}/data/part-001.parquet", "keep": 2, "save_steps": 6}
    config = bucket.write_config(**values)
    text = config.read_text().replace("use_tensorboard: false", "use_tensorboard: true")
    config.write_text(text)
    run = tzrec.train(config)
    assert str(run.model_dir) == f"{bucket.url}/model" and run.step == 23
    names = bucket.names("model")
    assert {name.split("/")[0] for name in names if name.startswith("model.ckpt")} == {"model.ckpt-18", "model.ckpt-23"}
    assert {"pipeline.config", "version", "report.html", "train_eval_result_v2.txt"} <= set(names)
    assert sum("tfevents" in name for name in names) == 2
    assert not any("lock" in name or "unfinished" in name for name in names)

    with pytest.raises(tzrec.CheckpointError, match="already holds checkpoints"):
        tzrec.train(config)
    more = tzrec.train(config, continue_train=True, edit={"train_config.num_epochs": 2})
    assert more.step == 47
    result = outcome(bucket.copy("model"), NUM_ROWS, num_epochs=2)
    assert (result.lost_rows, result.repeated_rows) == (0, 0)

    local = tzrec.train(config, model_dir=bucket.workspace.directory / "local", edit={"train_config.num_epochs": 2})
    assert local.metrics == more.metrics
    metrics = tzrec.evaluate(f"{bucket.url}/model/pipeline.config")
    assert metrics == more.metrics
    tuned = tzrec.train(
        config,
        model_dir=f"{bucket.url}/tuned",
        edit={"train_config.fine_tune_checkpoint": f"{bucket.url}/model", "train_config.num_epochs": 1},
    )
    assert tuned.step == 23
    num_rows = tzrec.predict(
        f"{bucket.url}/data/*.parquet", f"{bucket.url}/scores", config=f"{bucket.url}/model/pipeline.config"
    )
    assert num_rows == NUM_ROWS and any(name.endswith(".parquet") for name in bucket.names("scores"))


def test_package_is_exported_loaded_and_used(bucket: Bucket) -> None:
    import pyarrow.parquet as pq

    import tzrec

    config = bucket.write_config()
    tzrec.train(config)
    package = tzrec.export(config, f"{bucket.url}/package")
    assert str(package) == f"{bucket.url}/package"
    assert {"manifest.json", "model.pt2", "weights.safetensors", "pipeline.config"} <= set(bucket.names("package"))
    rows = pq.read_table(bucket.workspace.directory / "data/part-000.parquet")
    assert tzrec.load(package).predict(rows).num_rows == rows.num_rows
    assert tzrec.predict(f"{bucket.url}/data/*.parquet", f"{bucket.url}/scores", package=package) == NUM_ROWS
    with pytest.raises(tzrec.UsageError, match="is not empty"):
        tzrec.export(config, f"{bucket.url}/package")
    with bucket.filesystem.open(f"{bucket.root}/package/pipeline.config", "ab") as stream:
        stream.write(b"#")
    shutil.rmtree(bucket.workspace.directory.parent / "cache")
    with pytest.raises(tzrec.PackageError, match=r"pipeline.config has .* bytes instead of"):
        tzrec.load(package)


@pytest.mark.parametrize("ranks", [1, 2])
def test_killed_run_loses_and_repeats_nothing(bucket: Bucket, ranks: int) -> None:
    config = bucket.write_config(save_steps=4, keep=2, batch_size=64 // ranks)
    num_kills = 0
    for moment in (4, 8, 12, 16):
        seen = [0.0]

        def is_moment(moment: int = moment, seen: list[float] = seen) -> bool:
            """Some random time after the first file of a checkpoint has appeared."""
            time.sleep(0.02)
            if not seen[0] and bucket.has_checkpoint("model", moment):
                seen[0] = time.monotonic() + bucket.workspace.random.random() * 0.3
            return seen[0] > 0 and time.monotonic() > seen[0]

        num_kills += bucket.workspace.train_killed_at(config, is_moment, "--continue_train", ranks=ranks)
    bucket.workspace.train(config, "--continue_train", ranks=ranks, limit_s=150).assert_succeeded()
    assert num_kills >= 2
    model_dir = bucket.copy("model")
    result = outcome(model_dir, NUM_ROWS)
    assert (result.lost_rows, result.repeated_rows) == (0, 0)
    assert len(checkpoints(model_dir)) == 2 and not list(model_dir.glob("*.unfinished"))


def test_second_run_is_refused(bucket: Bucket) -> None:
    config = bucket.write_config(save_steps=4, num_epochs=200)
    process = bucket.workspace.start_train(config, log=bucket.workspace.directory / "first.log")
    try:
        deadline = time.monotonic() + 60
        while not bucket.has_checkpoint("model", 4):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        second = bucket.workspace.train(config, "--continue_train")
        second.assert_refused("is being written by process")
    finally:
        kill_group(process)
        process.wait()


@pytest.mark.parametrize(
    ("env", "model_dir", "message"),
    [
        ({}, "s3://no-such-bucket/model", "the bucket does not exist; create it, or correct the URL"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:{port}"}, "", "check the network and the address of the store"),
        (dict.fromkeys(KEYS, ""), "", "set the credentials of the store"),
    ],
)
def test_store_that_cannot_be_used_is_named(bucket: Bucket, env: dict[str, str], model_dir: str, message: str) -> None:
    data = bucket.workspace.write_rows("data", [200])
    config = bucket.write_config(train=data, **({"model_dir": model_dir} if model_dir else {}))
    values = {name: value.format(port=free_port()) for name, value in env.items()}
    result = bucket.workspace.train(config, env={**values, "AWS_EC2_METADATA_DISABLED": "true"}, limit_s=120)
    line = result.assert_refused(message)
    assert (model_dir or bucket.url) in line and result.seconds < 100
