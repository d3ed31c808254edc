from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from tests.fixtures.faulty_store import faulty  # noqa: F401 - a fixture
from tests.fixtures.small_model import exported_package
from tzrec.errors import PackageError, UsageError
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.server.errors import RequestError
from tzrec.server.metrics import Metrics
from tzrec.server.repository import Repository, VersionState, packages_of
from tzrec.storage.path import to_path


def publish(path: Path) -> None:
    """Publish a package as an export does: with a rename."""
    path.parent.mkdir(exist_ok=True)
    shutil.copytree(exported_package(), path.with_name("draft"), copy_function=os.link)
    path.with_name("draft").rename(path)


def ready(*versions: str) -> list[VersionState]:
    return [VersionState("ctr", version, "READY") for version in versions]


def test_packages_of_a_directory_are_models_and_versions(tmp_path: Path) -> None:
    (tmp_path / "some" / "ctr").mkdir(parents=True)
    assert packages_of(tmp_path / "some") == {}
    for path in ("some/ctr/3", "some/ctr/12", "some/cvr", "some/ctr/draft"):
        (tmp_path / path).mkdir()
        (tmp_path / path / "manifest.json").touch()
    assert packages_of(tmp_path / "some/cvr") == {"cvr": {"1": tmp_path / "some/cvr"}}
    ctr = {version: tmp_path / "some/ctr" / version for version in ("3", "12")}
    assert packages_of(tmp_path / "some/ctr") == {"ctr": ctr}
    assert packages_of(tmp_path / "some") == {"ctr": ctr, "cvr": {"1": tmp_path / "some/cvr"}}


def test_repository_answers_with_the_greatest_version_that_can_be_loaded(tmp_path: Path) -> None:
    root = tmp_path / "ctr"
    root.mkdir()
    publish(root / "9")
    repository = Repository(ServeConfig(model_path=str(root)), Metrics())
    first = repository.get("ctr")
    assert first.version == "9"
    publish(root / "10")
    requested = iter(repository._models["ctr"].loaded)  # a request that reads while a version is added
    assert repository.refresh() == [] and repository.get("ctr").version == "10"
    assert list(requested) == ["9"]
    assert repository.index() == ready("9", "10")

    # a damaged version is reported once, and does not answer
    shutil.copytree(root / "10", root / "11")
    (root / "11" / "model.pt2").write_bytes(b"damaged")
    assert [type(error) for error in repository.refresh()] == [PackageError]
    assert repository.refresh() == [] and repository.get("ctr").version == "10" and repository.is_ready
    failed = repository.index()[-1]
    assert (failed.version, failed.state) == ("11", "UNAVAILABLE") and "model.pt2" in failed.reason

    # two versions stay loaded
    publish(root / "12")
    assert repository.refresh() == [] and repository.get("ctr").version == "12"
    assert repository.get("ctr", "10").version == "10"
    with pytest.raises(RequestError, match="the model was unloaded"):
        first.submit(pa.table({name: pa.nulls(1) for name in first.predictor.columns}))

    # roll-back: the greatest version is removed
    shutil.rmtree(root / "12")
    shutil.rmtree(root / "11")
    assert repository.refresh() == [] and repository.get("ctr").version == "10"
    assert repository.index() == ready("9", "10")
    repository.close()


def test_repository_with_nothing_but_damaged_packages_raises(tmp_path: Path) -> None:
    (tmp_path / "ctr").mkdir()
    (tmp_path / "ctr" / "manifest.json").write_text("{}")
    with pytest.raises(PackageError, match=r"manifest\.json is damaged"):
        Repository(ServeConfig(model_path=str(tmp_path)), Metrics())


def test_request_ends_with_its_version_although_another_replaces_it(tmp_path: Path) -> None:
    publish(tmp_path / "ctr" / "1")
    config = ServeConfig(model_path=str(tmp_path / "ctr"), versions={"num_loaded": 1})
    repository = Repository(config, Metrics())
    publish(tmp_path / "ctr" / "2")
    with repository.using("ctr") as first:
        replacing = threading.Thread(target=repository.refresh)
        replacing.start()
        end = time.monotonic() + 60
        while repository.get("ctr").version == "1" and time.monotonic() < end:
            time.sleep(0.01)
        with repository.using("ctr") as second:
            assert (first.version, second.version) == ("1", "2")
        rows = pa.table({name: pa.nulls(1) for name in first.predictor.columns})
        assert first.submit(rows).result(60).num_rows == 1  # it waits for this request before it closes
    replacing.join(60)
    assert not replacing.is_alive() and not first.acquire()
    repository.close()


def test_package_that_is_written_again_is_loaded_again(tmp_path: Path) -> None:
    root = tmp_path / "ctr"
    publish(root)
    repository = Repository(ServeConfig(model_path=str(root)), Metrics())
    first = repository.get("ctr")
    assert repository.refresh() == [] and repository.get("ctr") is first
    manifest = root / "manifest.json"
    text = manifest.read_text()
    manifest.unlink()  # a link to the package of all tests
    manifest.write_text(text)
    assert repository.refresh() == []
    second = repository.get("ctr")
    assert second is not first and second.version == "1" and not first.acquire()

    # one that cannot be loaded leaves the one before, and so does a directory that is gone
    manifest.write_text("{}")
    assert [type(error) for error in repository.refresh()] == [PackageError]
    assert repository.refresh() == [] and repository.get("ctr") is second
    shutil.rmtree(root)
    assert repository.refresh() == [] and repository.get("ctr") is second and repository.is_ready
    repository.close()


def test_version_without_memory_for_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path / "ctr")
    monkeypatch.setattr("tzrec.env.available_memory", lambda: 1e5)
    with pytest.raises(PackageError, match=r"ctr needs \d MB, but 0 MB are left for this process; give it more"):
        Repository(ServeConfig(model_path=str(tmp_path / "ctr")), Metrics())


@pytest.mark.usefixtures("faulty")
def test_versions_of_a_store_are_loaded_and_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = to_path("faulty://bucket/ctr")
    config = ServeConfig(model_path="faulty://bucket/ctr")
    with pytest.raises(UsageError, match="--model_path faulty://bucket/ctr does not exist"):
        Repository(config, Metrics())
    for path in exported_package().iterdir():
        (store / "1" / path.name).write_bytes(path.read_bytes())
    repository = Repository(config, Metrics())
    assert repository.get("ctr").version == "1"
    for path in exported_package().iterdir():
        (store / "2" / path.name).write_bytes(path.read_bytes())
    assert repository.refresh() == [] and repository.get("ctr").version == "2"
    (store / "2").remove()
    assert repository.refresh() == [] and repository.get("ctr").version == "1"
    repository.close()
