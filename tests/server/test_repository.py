from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from tests.fixtures.small_model import exported_package
from tzrec.errors import PackageError
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.server.errors import RequestError
from tzrec.server.metrics import Metrics
from tzrec.server.repository import Repository, VersionState, packages_of


def publish(path: Path) -> None:
    """Publish a package as an export does: with a rename."""
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
