"""`tzrec fg --ray`: the same rows in the same order as without. Skipped where the package ray is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.encoding.test_job import ids, manifest, run_fg, write_bad_csv, write_config
from tests.fixtures.numbered_rows import table


@pytest.fixture(scope="module")
def _cluster() -> Iterator[None]:
    """Two processors of this machine."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'tzrec[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("_cluster")
def test_fg_on_ray_equals_fg_in_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for number in range(5):
        pq.write_table(table(40, number * 40), data / f"{number}.parquet", row_group_size=10)
    config = write_config(data)
    words = ["--ray", "--batch_size", "16", "--reserved_columns", "uid"]
    assert run_fg(config, out, *words) == 0
    assert ids(out / "train") == list(range(200))
    content = manifest(out / "train")
    assert content["complete"] and content["rows"] == sum(part["rows"] for part in content["parts"]) == 200
    assert not (out / "train" / ".ray").exists()
    assert run_fg(config, tmp_path / "here", "--reserved_columns", "uid") == 0
    assert pq.read_table(out / "train").equals(pq.read_table(tmp_path / "here" / "train"))
    capsys.readouterr()
    assert run_fg(config, out, *words) == 0
    assert "is already encoded" in capsys.readouterr().err

    bad = table(3).set_column(0, "uid", [[5, 5000, 6]])
    pq.write_table(bad, data / "5.parquet")
    assert run_fg(config, tmp_path / "stopped", "--ray") == 1
    assert "column \"uid\" has '5000': out of range [0, 1000)" in capsys.readouterr().err
    assert not list((tmp_path / "stopped").rglob("*.parquet"))
    assert run_fg(write_config(data, more="bad_row_policy: SKIP_ROW"), tmp_path / "skipped", "--ray") == 0
    assert ids(tmp_path / "skipped" / "train")[-2:] == [5, 6]


def test_fg_on_ray_rejects_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_fg(write_bad_csv(tmp_path / "data"), tmp_path / "out", "--ray") == 2
    assert "--ray reads Parquet; encode CSV without it" in capsys.readouterr().err


def test_fg_without_ray_installed_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    data = tmp_path / "data"
    data.mkdir()
    pq.write_table(table(3), data / "0.parquet")
    assert run_fg(write_config(data), tmp_path / "out", "--ray") == 1
    assert "pip install 'tzrec[ray]'" in capsys.readouterr().err
