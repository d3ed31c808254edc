from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec import AbstractFileSystem

from tzrec.data.paths import expand, filesystem
from tzrec.data.reader import open_reader
from tzrec.errors import DataError
from tzrec.protos import data_pb2


def test_expand_keeps_the_order_of_globs_and_sorts_files(tmp_path: Path) -> None:
    for name in ("b2", "a1", "b10", "b1"):
        (tmp_path / name).touch()
    (tmp_path / "b_folder").mkdir()
    files = expand(f"{tmp_path}/b*, {tmp_path}/a1,")
    assert [Path(file.name).name for file in files] == ["b1", "b10", "b2", "a1"]


def test_expand_lists_files_of_urls() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("y.csv", "x.csv", "z.txt"):
        memory.pipe_file(f"/tzrec_paths/{name}", b"1,2")
    files = expand("memory://tzrec_paths/*.csv")
    assert [file.name for file in files] == ["memory://tzrec_paths/x.csv", "memory://tzrec_paths/y.csv"]
    with files[0].filesystem.open_input_stream(files[0].path) as stream:
        assert stream.read() == b"1,2"


def test_expand_of_missing_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no file matches ".*/\*\.parquet"$'):
        expand(f"{tmp_path}/*.parquet")
    with pytest.raises(DataError, match=r"its folders hold no data files \(names that begin with _ or \. are not data"):
        expand(str(tmp_path))
    with pytest.raises(DataError, match="the input path is empty"):
        expand(" , ")
    with pytest.raises(DataError, match=r'cannot open "nope://x"'):
        expand("nope://x")


def test_input_file_that_changes_is_named_with_its_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("12345")
    (file,) = expand(str(path))
    before = file.version()
    assert before.size == 5
    file.ensure_unchanged(before)
    path.write_text("1234567")
    with pytest.raises(DataError, match=r"a\.csv: the file changed in size from 5 to 7 bytes since the run opened it"):
        file.ensure_unchanged(before)
    path.write_text("54321")
    os.utime(path, ns=(0, (before.modified_ns or 0) + 1_000_000))
    with pytest.raises(DataError, match=r"a\.csv: the file was written again \(5 bytes\)"):
        file.ensure_unchanged(before)
    path.unlink()
    with pytest.raises(DataError, match=r"a\.csv: the file is gone"):
        file.ensure_unchanged(before)


SPARK = ("_SUCCESS", "_metadata", ".part-0.parquet.crc", "_temporary/0/part-9.parquet", ".hidden/part-9.parquet")
HIVE = ("dt=1/part-0.parquet", "dt=1/part-1.parquet", "dt=2/h=0/part-0.parquet")


def names_below(folder: Path, pattern: str) -> list[str]:
    return [str(Path(file.name).relative_to(folder)) for file in expand(f"{folder}/{pattern}")]


@pytest.mark.parametrize("pattern", ["", "*", "**", "dt=*", "**/*.parquet", "**/part-*"])
def test_expand_of_hive_and_spark_folders_lists_data_files_only(tmp_path: Path, pattern: str) -> None:
    for name in (*SPARK, *HIVE, *(f"dt=1/{name}" for name in SPARK)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names_below(tmp_path, pattern) == list(HIVE)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path), "/tzrec_hive", recursive=True)
    urls = [file.name for file in expand(f"memory://tzrec_hive/{pattern}".rstrip("/"))]
    memory.rm("/tzrec_hive", recursive=True)
    assert urls == [f"memory://tzrec_hive/{name}" for name in HIVE]


def test_expand_of_a_hidden_name_given_in_full_lists_it(tmp_path: Path) -> None:
    for name in ("_a.parquet", "b.parquet", "_old/c_d.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names_below(tmp_path, "_a.parquet") == names_below(tmp_path, "_a*") == ["_a.parquet"]
    assert names_below(tmp_path, "_old/*") == names_below(tmp_path, "_old") == ["_old/c_d.parquet"]
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(DataError, match=r"the files that match begin with _ or \. and are not data"):
        names_below(tmp_path, "*.parquet")


def test_expand_follows_links_to_folders_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.parquet").touch()
    (tmp_path / "top").mkdir()
    (tmp_path / "top/link").symlink_to(tmp_path / "real")
    (tmp_path / "real/loop").symlink_to(tmp_path / "top")
    assert names_below(tmp_path, "top") == ["top/link/a.parquet"]


class Broken(AbstractFileSystem):
    """Filesystem that fails in its own way."""

    protocol = "broken"
    cachable = False

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return {"name": path, "size": 1000, "type": "file"}

    def glob(self, path: str, **kwargs: Any) -> list[str]:
        if "credentials" in path:
            raise LookupError("Unable to locate credentials")
        return [path]

    def isfile(self, path: str) -> bool:
        return True

    def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        raise LookupError(f"throttled\nrequest 17 of {path}")


class Unloadable(AbstractFileSystem):
    """Filesystem whose library cannot be loaded."""

    protocol = "unloadable"

    def __init__(self, **kwargs: Any) -> None:
        raise OSError("libjvm.so: cannot open shared object file")


def test_any_error_of_a_remote_filesystem_is_a_data_error_that_names_the_path() -> None:
    for kind in (Broken, Unloadable):
        fsspec.register_implementation(kind.protocol, kind, clobber=True)
    config = data_pb2.DataConfig(dataset_type=data_pb2.ParquetDataset)
    with pytest.raises(DataError, match=r'cannot open "unloadable://a": libjvm.so: cannot open .* \(OSError\)$'):
        expand("unloadable://a")
    with pytest.raises(DataError, match=r'"broken://credentials": Unable to locate credentials \(LookupError\)$'):
        expand("broken://credentials")
    with pytest.raises(DataError, match=r'cannot open "broken://x.parquet": throttled \(LookupError\)$'):
        open_reader(config, "broken://x.parquet")


def test_filesystem_of_a_url_can_be_sent_to_another_process() -> None:
    store, _ = filesystem("memory://x")
    assert pickle.loads(pickle.dumps(store)).handler.fs.protocol == store.handler.fs.protocol
