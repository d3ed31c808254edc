from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tests.fixtures.small_disk import small_disk
from tzrec.data.atomic import write_text
from tzrec.data.writer import open_writer
from tzrec.errors import DataError

TABLE = pa.table(
    {
        "probs": pa.array([0.25, 0.1], pa.float32()),
        "vector": pa.array([[0.5, 0.1], None], pa.list_(pa.float32())),
        "ids": pa.array([[], [3, 4]], pa.list_(pa.int64())),
        "tags": pa.array([['a"b', "é"], ["c"]]),
        "name": pa.array(["x,y", None]),
    }
)


def test_parquet_writer_publishes_on_close(tmp_path: Path) -> None:
    writer = open_writer(str(tmp_path / "deep" / "out"), "part-3", "parquet")
    writer.write(TABLE)
    writer.write(TABLE.slice(1))
    out = tmp_path / "deep" / "out"
    assert [path.name for path in out.iterdir()] == [".part-3.parquet.tmp"]
    writer.close()
    assert [path.name for path in out.iterdir()] == ["part-3.parquet"]
    assert pq.read_table(out / "part-3.parquet").equals(pa.concat_tables([TABLE, TABLE.slice(1)]))


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_writer_on_full_disk_names_the_file_and_removes_it(tmp_path: Path, kind: str) -> None:
    noise = pa.table({"x": np.random.default_rng(1).random(20_000)})
    with small_disk(tmp_path / "disk", "64k") as disk:
        with pytest.raises(OSError, match="No space") as caught, open_writer(str(disk), "a", kind) as writer:
            writer.write(noise)
        assert caught.value.filename == f"{disk}/a.{kind}" and not list(disk.iterdir())
        (disk / "filler").write_bytes(b"x" * 60 * 1024)
        with pytest.raises(OSError, match="No space") as caught, open_writer(str(disk), "b", kind) as writer:
            writer.write(noise.slice(0, 500))  # buffered until the end
        assert caught.value.filename == f"{disk}/b.{kind}" and [path.name for path in disk.iterdir()] == ["filler"]
        with pytest.raises(OSError, match="No space") as caught:
            write_text(disk / "c", "x" * 9000)
        assert caught.value.filename == str(disk / "c") and not list(disk.glob("*c*"))


def test_csv_writer_formats_lists_as_json(tmp_path: Path) -> None:
    with open_writer(str(tmp_path), "part-0", "csv") as writer:
        writer.write(TABLE)
    rows = pacsv.read_csv(tmp_path / "part-0.csv").to_pylist()
    assert [row["name"] for row in rows] == ["x,y", ""]
    assert [row["probs"] for row in rows] == [0.25, 0.1]
    assert json.loads(rows[0]["vector"]) == [0.5, 0.1]
    assert rows[1]["vector"] == ""
    assert [json.loads(row["ids"]) for row in rows] == [[], [3, 4]]
    assert [json.loads(row["tags"]) for row in rows] == [['a"b', "é"], ["c"]]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_writer_removes_an_incomplete_file(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"part-0.{kind}").write_text("from before")

    def write_other_schema() -> None:
        with open_writer(str(tmp_path), "part-0", kind) as writer:
            writer.write(TABLE)
            writer.write(pa.table({"other": [1]}))

    with pytest.raises(ValueError, match="cannot follow rows with"):
        write_other_schema()
    assert [path.name for path in tmp_path.iterdir()] == [f"part-0.{kind}"]
    assert (tmp_path / f"part-0.{kind}").read_text() == "from before"
    with open_writer(str(tmp_path), "part-1", kind):
        pass
    assert len(list(tmp_path.iterdir())) == 1


def test_writer_writes_to_urls() -> None:
    with open_writer("memory://tzrec_writer/out", "part-0", "parquet") as writer:
        writer.write(TABLE)
    memory = fsspec.filesystem("memory")
    assert memory.ls("/tzrec_writer/out", detail=False) == ["/tzrec_writer/out/part-0.parquet"]
    with memory.open("/tzrec_writer/out/part-0.parquet") as file:
        assert pq.read_table(file).equals(TABLE)


DAY = datetime.date(2024, 5, 1)
STORED: list[tuple[pa.Array, str]] = [
    (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    (pa.array([Decimal(2**64)], pa.decimal128(38, 0)), "18446744073709551616"),
    (pa.array([Decimal("1.50")]), "1.50"),
    (pa.array([DAY]), "2024-05-01"),
    (pa.array([1], pa.timestamp("us", "UTC")), "1970-01-01 00:00:00.000001Z"),
    (pa.array([True]), "true"),
    (pa.array(["é".encode()]), '"é"'),
    (pa.array([[Decimal("1.50")]]), '"[1.50]"'),
    (pa.array([[1, None]]), '"[1, null]"'),
    (pa.array([[DAY]]), '"[""2024-05-01""]"'),
    (pa.array([[1]], pa.list_(pa.timestamp("ns"))), '"[""1970-01-01 00:00:00.000000001""]"'),
    (pa.array([{"a": Decimal("1.5"), "b": DAY}]), '"{""a"": ""1.5"", ""b"": ""2024-05-01""}"'),
]


@pytest.mark.parametrize(("array", "cell"), STORED, ids=[str(case[0].type) for case in STORED])
def test_writers_keep_the_values_of_every_stored_type(array: pa.Array, cell: str, tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        with open_writer(str(tmp_path), "part-0", kind) as writer:
            writer.write(pa.table({"x": array}))
    assert (tmp_path / "part-0.csv").read_text().splitlines()[1] == cell
    got = pq.read_table(tmp_path / "part-0.parquet")["x"]
    assert (got.type, got.to_pylist() if "ns" not in str(got.type) else []) == (
        array.type,
        array.to_pylist() if "ns" not in str(array.type) else [],
    )


@pytest.mark.parametrize("array", [pa.array([b"\xff"]), pa.array([[b"a"]]), pa.array([b"\xff" * 16], pa.uuid())])
def test_csv_writer_names_the_column_that_it_cannot_hold(array: pa.Array, tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r'column "x" is .*, which CSV cannot hold: .*; write Parquet'),
        open_writer(str(tmp_path), "part-0", "csv") as writer,
    ):
        writer.write(pa.table({"x": array}))
    assert list(tmp_path.iterdir()) == []
