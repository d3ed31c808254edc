"""URLs and local paths: `file:///x` is `/x`, and what can hold a model directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tzrec.errors import StoreError, UsageError
from tzrec.storage.path import StorePath, to_directory, to_path
from tzrec.storage.url import directory_problem, is_url, without_file_scheme


@pytest.mark.parametrize("path", ["file:/data/x", "file:///data/x", "file:////data/x", "file://localhost/data/x"])
def test_file_url_is_its_path(path: str) -> None:
    assert without_file_scheme(path) == "/data/x"
    assert not is_url(path)
    assert directory_problem(path) == ""
    assert to_directory("--export_dir", path) == Path("/data/x")


def test_file_url_as_path_object_is_its_path() -> None:
    assert to_path(Path("file:///data/x")) == Path("/data/x")


@pytest.mark.parametrize("path", ["", "x", "/data/x", "./a:b/c", "c:/x", "data/a.parquet,s3"])
def test_local_path_is_unchanged(path: str) -> None:
    assert without_file_scheme(path) == path
    assert directory_problem(path) == ""
    assert isinstance(to_path(path), Path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file://host/a", '"file://host/a" names a file of another machine'),
        ("https://host/a", "a protocol that only reads; use a local path or a store such as s3://bucket/model"),
        ("nope://a/b", "nope:// is not a known protocol; use a local path, or a store such as s3://, gs:// or abfs://"),
        ("S3://bucket/a", "S3:// is not a known protocol"),
    ],
)
def test_url_without_a_store_is_refused(path: str, message: str) -> None:
    assert message in directory_problem(path)
    with pytest.raises(UsageError, match=r"^--export_dir: "):
        to_directory("--export_dir", path)


@pytest.mark.parametrize(
    ("scheme", "module", "extra"), [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("abfs", "adlfs", "azure")]
)
def test_missing_package_is_named_with_its_extra(
    scheme: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else object())
    expected = rf"{scheme}://bucket/a: a package is missing: pip install 'tzrec\[{extra}\]'"
    with pytest.raises(StoreError, match=expected):
        to_path(f"{scheme}://bucket/a")


@pytest.mark.parametrize("path", ["memory://bucket/model", "memory:/bucket/model", "memory://bucket/model/"])
def test_url_of_a_store_is_a_store_path(path: str) -> None:
    assert to_path(Path(path) if path.startswith("memory:/b") else path) == to_path("memory://bucket/model")
    assert isinstance(to_path(path), StorePath)
    assert str(to_path(path)) == "memory://bucket/model"
