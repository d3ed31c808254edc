"""A table of a lake that grows while a model trains on it. `make test-lake` installs the packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.iceberg_catalog import iceberg_catalog
from tests.fixtures.small_run import Job, assert_equal, tensors
from tzrec.checkpoint import store

ONE_EPOCH = {"train_config__num_steps": 0, "train_config__num_epochs": 1}


@dataclass
class Lake:
    """A table.

    Attributes:
        path: as in a config.
        append: adds rows.
        version: path of the newest version.
    """

    dataset: str
    path: str
    append: Callable[[pa.Table], None]
    version: Callable[[], str]


@pytest.fixture(params=["delta", "iceberg"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """An empty table."""
    path = str(tmp_path / "clicks")
    if request.param == "delta":
        deltalake = pytest.importorskip("deltalake", reason="needs tzrec[delta]; make test-lake installs it")
        yield Lake(
            "DeltaDataset",
            path,
            lambda rows: deltalake.write_deltalake(path, rows, mode="append"),
            lambda: f"{path}@v{deltalake.DeltaTable(path).version()}",
        )
        return
    catalog = iceberg_catalog(tmp_path, monkeypatch)

    def append(rows: pa.Table) -> None:
        catalog.create_table_if_not_exists("shop.clicks", rows.schema).append(rows)

    def version() -> str:
        return f"test.shop.clicks@{catalog.load_table('shop.clicks').current_snapshot().snapshot_id}"

    yield Lake("IcebergDataset", "test.shop.clicks", append, version)
    catalog.close()


def test_running_epoch_keeps_its_version_and_the_next_run_reads_the_newest(
    job: Job, lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for number in range(3):
        lake.append(pq.read_table(tmp_path / "data" / f"{number}.parquet"))
    edits: dict[str, Any] = {"data_config__dataset_type": lake.dataset, **ONE_EPOCH}
    edits |= {"train_input_path": lake.path, "eval_input_path": lake.path}
    first = lake.version()
    whole, _ = job("whole", **edits)
    model_dir, _ = job("model", **edits, train_config__max_minutes=1e-9)
    assert store.find(model_dir).position.cursor.row == 64

    lake.append(pq.read_table(tmp_path / "data" / "0.parquet"))  # 800 rows
    second = lake.version()
    assert first != second
    job("model", resume=True, **edits)
    found = store.find(model_dir)
    assert found.manifest.data is not None and found.manifest.data.tables == {lake.path: first}
    assert found.position.step == 9
    assert_equal(tensors(whole, 9), tensors(model_dir, 9))  # no row lost, repeated or of another version

    caplog.clear()
    job("model", resume=True, **edits)
    found = store.find(model_dir)
    assert "model.ckpt-9: 1 new file and 3 known files after the epoch that ended there" in caplog.text
    assert found.manifest.data is not None and found.manifest.data.tables == {lake.path: second}
    assert found.position.step == 9 + 13, "800 rows"

    caplog.clear()
    job("model", resume=True, **edits)
    assert "already complete" in caplog.text
