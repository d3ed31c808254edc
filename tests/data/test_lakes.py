"""Delta Lake and Iceberg tables. `make test-lake` installs the packages; without them these tests are skipped."""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.iceberg_catalog import iceberg_catalog
from tzrec.data.identity import DataIdentity
from tzrec.data.listing import FileListing, pin_versions
from tzrec.data.reader import Reader, open_reader
from tzrec.errors import DataError
from tzrec.protos import data_pb2

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Z85 = str.maketrans(
    _LETTERS + _LETTERS.lower() + "!#$%&()*+-;<=>?@^_`{|}~",
    _LETTERS.lower() + _LETTERS + ".-:+=^!/*?&<>()[]{}@%$#",
)
"""From the alphabet of Python's b85encode to that of deletion vectors."""


def opened(kind: str, path: str, columns: list[str] | None = None) -> Reader:
    return open_reader(data_pb2.DataConfig(dataset_type=getattr(data_pb2, kind)), path, columns)


def rows_of(reader: Reader) -> list[dict[str, Any]]:
    rows = [row for piece in reader.read() for row in piece.batch.to_pylist()]
    return sorted(rows, key=lambda row: row["x"])


def clicks(*xs: int, dt: str | None = "2024-01-01", **columns: Any) -> pa.Table:
    values = {"x": pa.array(xs, pa.int64()), "dt": pa.array([dt] * len(xs), pa.string())}
    return pa.table(values | {name: [value] * len(xs) for name, value in columns.items()})


@pytest.fixture
def delta(tmp_path: Path) -> str:
    """A table partitioned by dt: versions 0 to 3 append, the last one with a new column, and 4 deletes rows."""
    deltalake = pytest.importorskip("deltalake", reason="needs tzrec[delta]; make test-lake installs it")
    path = str(tmp_path / "clicks")
    deltalake.write_deltalake(path, clicks(0, 1, 2), partition_by=["dt"])
    deltalake.write_deltalake(path, clicks(3, dt="a b/c"), mode="append")
    deltalake.write_deltalake(path, clicks(4, dt=None), mode="append")
    deltalake.write_deltalake(path, clicks(5, price=0.5), mode="append", schema_mode="merge")
    deltalake.DeltaTable(path).delete("x = 1")
    return path


def test_delta_table_is_read_at_a_version_with_partitions_and_new_columns(delta: str) -> None:
    assert [row["x"] for row in rows_of(opened("DeltaDataset", f"{delta}@v0"))] == [0, 1, 2]
    third = opened("DeltaDataset", f"{delta}@v3", ["price", "x", "dt"])
    assert third.schema == pa.schema([("price", pa.float64()), ("x", pa.int64()), ("dt", pa.string())])
    dts = ["2024-01-01"] * 3 + ["a b/c", None, "2024-01-01"]
    expected = [{"price": 0.5 if x == 5 else None, "x": x, "dt": dt} for x, dt in enumerate(dts)]
    assert rows_of(third) == expected
    newest = opened("DeltaDataset", f"file://{delta}")
    assert rows_of(newest.select(["price", "x", "dt"])) == [row for row in expected if row["x"] != 1]
    assert newest.table_versions == {f"file://{delta}": f"file://{delta}@v4"}


def test_delta_table_is_read_at_a_time(delta: str) -> None:
    import deltalake

    times = {item["version"]: item["timestamp"] for item in deltalake.DeltaTable(delta).history()}
    text = datetime.fromtimestamp(times[2] / 1000, timezone.utc).isoformat(timespec="milliseconds")
    for time in (text, text.replace("+00:00", "Z"), text.replace("+00:00", "")):
        assert opened("DeltaDataset", f"{delta}@{time}").table_versions == {delta: f"{delta}@v2"}


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("@v99", r'clicks" has no version "v99": '),
        ("@7", r'has no version "7": write @v3 for a version, or @2024-01-01T00:00:00Z for a time'),
        ("@2024-13-01", r'has no version "2024-13-01": write @v3'),
        ("x", r'clicksx" cannot be read as a Delta table: '),
    ],
)
def test_unknown_version_of_a_delta_table_is_named(delta: str, version: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened("DeltaDataset", delta + version)


def test_delta_table_that_grows_keeps_its_version_in_a_run_and_in_a_resumed_epoch(delta: str) -> None:
    import deltalake

    identity = DataIdentity.from_json(DataIdentity.of(opened("DeltaDataset", delta), 1).to_json())
    assert identity.tables == {delta: f"{delta}@v4"}
    deltalake.write_deltalake(delta, clicks(6, price=1.0), mode="append")
    assert len(rows_of(opened("DeltaDataset", delta))) == 6
    pinned = pin_versions(delta, identity.tables)
    assert DataIdentity.of(opened("DeltaDataset", pinned), 1) == identity
    assert pin_versions(f"{delta}@v1, /other", identity.tables) == f"{delta}@v1,/other"


def test_delta_table_with_deletion_vectors_is_refused(delta: str) -> None:
    log = sorted(Path(delta, "_delta_log").glob("*.json"))[0]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    bitmap = struct.pack("<IQIIIHHIHH", 1681511377, 1, 0, 12346, 1, 0, 1, 16, 1, 2)  # of the rows 1 and 2
    text = base64.b85encode(bitmap).decode().translate(Z85)
    vector = {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(bitmap), "cardinality": 2}
    for line in lines:
        if "protocol" in line:
            features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
            line["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
        if "add" in line:
            line["add"]["deletionVector"] = vector
    log.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match=r"rows of 1 data files are deleted by other files.* REORG TABLE"):
        opened("DeltaDataset", f"{delta}@v0")


def test_delta_listing_is_sent_to_other_ranks(delta: str) -> None:
    reader = opened("DeltaDataset", delta)
    copy = FileListing.from_bytes(reader._listing.to_bytes())
    assert (copy.files, copy.tables) == (reader.files, reader._listing.tables)


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A catalog with the table shop.clicks: two snapshots, between which a column is renamed and one is added."""
    catalog = iceberg_catalog(tmp_path, monkeypatch)
    from pyiceberg.types import DoubleType

    table = catalog.create_table("shop.clicks", clicks(0, title="a").schema)
    table.append(clicks(0, 1, title="a"))
    with table.update_schema() as update:
        update.rename_column("title", "name")
        update.add_column("price", DoubleType())
    catalog.load_table("shop.clicks").append(clicks(2, name="b", price=0.5))
    yield catalog
    catalog.close()


def test_iceberg_table_follows_renamed_and_new_columns_by_id(catalog: Any) -> None:
    newest = opened("IcebergDataset", "test.shop.clicks", ["price", "x", "name", "dt"])
    expected = [
        {"price": None, "x": 0, "name": "a", "dt": "2024-01-01"},
        {"price": None, "x": 1, "name": "a", "dt": "2024-01-01"},
        {"price": 0.5, "x": 2, "name": "b", "dt": "2024-01-01"},
    ]
    assert rows_of(newest) == expected
    table = catalog.load_table("shop.clicks")
    assert newest.table_versions["test.shop.clicks"] == f"test.shop.clicks@{table.current_snapshot().snapshot_id}"
    assert rows_of(opened("IcebergDataset", table.metadata_location, ["price", "x", "name", "dt"])) == expected


def test_iceberg_table_is_read_at_a_snapshot_or_time(catalog: Any) -> None:
    first = catalog.load_table("shop.clicks").snapshots()[0]
    at_id = opened("IcebergDataset", f"test.shop.clicks@{first.snapshot_id}")
    assert (at_id.available, [row["x"] for row in rows_of(at_id)]) == (("x", "dt", "title"), [0, 1])
    time = datetime.fromtimestamp(first.timestamp_ms / 1000, timezone.utc).isoformat(timespec="milliseconds")
    assert opened("IcebergDataset", f"test.shop.clicks@{time}").table_versions == at_id.table_versions


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("test.shop.clicks@5", r'"test.shop.clicks" has no version "5": its last snapshots are \d+, \d+'),
        ("test.shop.clicks@v5", "write @ and the id of a snapshot, or @2024-01-01T00:00:00Z for a time"),
        ("test.shop.clicks@2001-01-01", "the table did not exist at this time"),
        ("test.shop.click", '"test.shop.click" cannot be read as an Iceberg table: .* PYICEBERG_CATALOG__TEST__URI'),
        ("clicks", "write catalog.namespace.table, or the path of a metadata.json file"),
    ],
)
def test_unknown_iceberg_table_or_version_is_named(catalog: Any, path: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened("IcebergDataset", path)


def test_iceberg_table_with_rows_deleted_by_rewriting_is_read(catalog: Any) -> None:
    catalog.load_table("shop.clicks").delete("x = 1")
    assert [row["x"] for row in rows_of(opened("IcebergDataset", "test.shop.clicks"))] == [0, 2]


def test_lake_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from tzrec.errors import SetupError

    for kind, package in (("DeltaDataset", "deltalake"), ("IcebergDataset", "pyiceberg.catalog")):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        extra = kind.removesuffix("Dataset").lower()
        with pytest.raises(SetupError, match=rf"{kind} needs the package \w+: pip install 'tzrec\[{extra}\]'"):
            opened(kind, f"{os.sep}data/table/x")
