from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.retrieval.test_index import vectors
from tzrec.checkpoint.sealed_json import seal
from tzrec.errors import PackageError
from tzrec.retrieval.index import Neighbours, build_index
from tzrec.retrieval.index_files import MANIFEST, IndexManifest, read_index, write_index
from tzrec.retrieval.options import IndexOptions
from tzrec.retrieval.vectors import ItemVectors, to_ids

IDS = ["b", "äöü", "", "c d", "e"]


def written(directory: Path, ids: pa.Array, options: IndexOptions | None = None) -> IndexManifest:
    options = options or IndexOptions("FlatIP")
    items = ItemVectors.of(to_ids(ids, "id"), vectors(len(ids)))
    return write_index(directory, build_index(items.values, options), items, options, trained="digest")


@pytest.mark.parametrize(
    ("ids", "kind"),
    [(pa.array(IDS), pa.string()), (pa.array([7, -3, 2**40, 0, 5]), pa.int64())],
    ids=["text", "integers"],
)
@pytest.mark.parametrize("index_type", ["ExactL2", "IVFFlatIP"])
def test_index_read_again_has_ids_type_and_description(
    ids: pa.Array, kind: pa.DataType, index_type: str, tmp_path: Path
) -> None:
    is_ivf = index_type.startswith("IVF")
    options = IndexOptions(index_type, nprobe=3) if is_ivf else IndexOptions(index_type)
    manifest = written(tmp_path / "new" / "index", ids, options)
    index = read_index(tmp_path / "new" / "index")
    assert index.manifest == manifest
    assert (manifest.num_items, manifest.dimension, manifest.trained) == (5, 12, "digest")
    assert (manifest.options.nlist, manifest.options.nprobe) == ((5, 3) if is_ivf else (1000, 80))
    rows = np.array([[1, 4, -1], [-1, -1, -1], [2, 0, 3]])
    table = index.to_table(Neighbours(np.arange(9, dtype=np.float32).reshape(3, 3), rows))
    expected = ids.to_pylist()
    assert table["ids"].to_pylist() == [[expected[1], expected[4]], [], [expected[2], expected[0], expected[3]]]
    assert table["scores"].to_pylist() == [[0, 1], [], [6, 7, 8]]
    assert table.schema == pa.schema({"ids": pa.list_(kind), "scores": pa.list_(pa.float32())})


def test_index_files_are_those_of_the_published_tool(tmp_path: Path) -> None:
    written(tmp_path, pa.array(IDS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faiss_index", "id_mapping", "index.json"]
    assert (tmp_path / "id_mapping").read_text() == "b\näöü\n\nc d\ne\n"
    value = json.loads((tmp_path / MANIFEST).read_text())
    assert list(value) == [
        *("format", "index_type", "num_items", "dimension", "is_integer", "trained", "version", "files", "sha256")
    ]


def test_write_index_replaces_one_that_is_open(tmp_path: Path) -> None:
    written(tmp_path, pa.array(IDS))
    first = read_index(tmp_path)
    queries = vectors(2, seed=1)
    before = first.to_table(first.vectors.search(queries, 2))
    written(tmp_path, pa.array([1, 2, 3]), IndexOptions("ExactIP"))
    assert read_index(tmp_path).manifest.num_items == 3
    assert first.to_table(first.vectors.search(queries, 2)).equals(before)


def test_write_index_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, pa.array(IDS))
    monkeypatch.setattr("tzrec.retrieval.index_files.write_ids", lambda path, ids: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(tmp_path, pa.array([1, 2, 3]))
    assert read_index(tmp_path).manifest.num_items == 5
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["faiss_index", "id_mapping", MANIFEST])
def test_read_index_with_one_flipped_bit_raises(name: str, tmp_path: Path) -> None:
    written(tmp_path, pa.array(IDS))
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PackageError, match=rf"{name} .*[Cc]reate (it|the index) again: tzrec index"):
        read_index(tmp_path)


def test_read_index_without_file_raises(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="has no index of items: create one with `tzrec index`"):
        read_index(tmp_path)
    written(tmp_path, pa.array(IDS))
    (tmp_path / "id_mapping").unlink()
    with pytest.raises(PackageError, match=r"is damaged: id_mapping is missing\. Create it again"):
        read_index(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2, "version": "9.1"}, r"was written by tzrec 9\.1, newer than .*; upgrade tzrec"),
        ({"index_type": "PQ"}, "is damaged: ValueError an index of the type 'PQ'"),
        ({"files": {}}, "index.json has no checksum of faiss_index; index.json has no checksum of id_mapping"),
        ({"num_items": 6}, "is damaged: its files differ in size"),
    ],
)
def test_read_index_of_changed_manifest_raises(change: dict[str, object], message: str, tmp_path: Path) -> None:
    written(tmp_path, pa.array(IDS))
    value = json.loads((tmp_path / MANIFEST).read_text())
    del value["sha256"]
    (tmp_path / MANIFEST).write_text(seal(value | change))
    with pytest.raises(PackageError, match=message):
        read_index(tmp_path)
