"""Partition folders: columns of their names, and ranges of them in input paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tzrec.data.formats import COLUMNAR
from tzrec.data.hive import PartitionRange, Partitions, partition_folder, partition_type, partitions_of
from tzrec.data.paths import expand
from tzrec.data.reader import open_reader
from tzrec.errors import DataError
from tzrec.protos import data_pb2

CONFIG = data_pb2.DataConfig(dataset_type=data_pb2.ParquetDataset)


def write(folder: Path, *names: str, **columns: Any) -> None:
    """Write a file of one row, whose x is the number of the file, into each of the folders."""
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"x": [number]} | columns), folder / name / "part-0.parquet")


@pytest.mark.parametrize(
    "partitions",
    [(("dt", "2024-05-01"), ("hour", "3")), (("a b", "x/y=%2F"), ("c", None), ("e", "")), (("städte", "a:b;c|d*e"),)],
)
def test_partition_folder_is_read_back(partitions: Partitions) -> None:
    folder = partition_folder(partitions)
    assert folder.count("/") == len(partitions)
    assert partitions_of(f"/data/{folder}part-0.parquet") == partitions
    assert partition_folder(()) == ""
    assert partition_folder((("dt", "2024-05-01"), ("hour", None))) == "dt=2024-05-01/hour=__HIVE_DEFAULT_PARTITION__/"


def rows_of(path: object, columns: list[str] | None = None, config: data_pb2.DataConfig = CONFIG) -> list[Any]:
    return [row for piece in open_reader(config, str(path), columns).read() for row in piece.batch.to_pylist()]


def test_partitions_of_a_path_are_decoded() -> None:
    assert partitions_of("/data/dt=2024-05-01/hour=3/part-0.parquet") == (("dt", "2024-05-01"), ("hour", "3"))
    assert partitions_of("a%20b=x%2Fy%3D/c=__HIVE_DEFAULT_PARTITION__/e=/f=1.parquet") == (
        ("a b", "x/y="),
        ("c", None),
        ("e", ""),
    )
    assert partitions_of("/data/=x/plain/part") == ()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["3", "12", None], pa.int64()),
        (["-1", "0"], pa.int64()),
        (["03", "12"], pa.string()),
        (["2024-05-01"], pa.string()),
        (["1", "x"], pa.string()),
        ([None], pa.string()),
        (["9" * 19], pa.string()),
    ],
)
def test_partition_type_is_an_integer_where_all_values_are(values: list[str | None], kind: pa.DataType) -> None:
    assert partition_type(values) == kind


def test_folders_are_columns_of_their_type(tmp_path: Path) -> None:
    write(tmp_path, "dt=2024-05-01/hour=3", "dt=2024-05-01/hour=12", "dt=__HIVE_DEFAULT_PARTITION__/hour=0")
    expected = [
        {"hour": 12, "x": 1, "dt": "2024-05-01"},
        {"hour": 3, "x": 0, "dt": "2024-05-01"},
        {"hour": 0, "x": 2, "dt": None},
    ]
    assert rows_of(tmp_path, ["hour", "x", "dt"]) == expected
    reader = open_reader(CONFIG, str(tmp_path))
    assert (reader.columns, reader.folder_columns) == (("x", "dt", "hour"), {"dt", "hour"})
    assert rows_of(tmp_path, ["hour"]) == [{"hour": row["hour"]} for row in expected]
    declared = data_pb2.DataConfig(dataset_type=data_pb2.ParquetDataset)
    declared.input_fields.add(input_name="hour", input_type=data_pb2.STRING)
    assert [row["hour"] for row in rows_of(tmp_path, ["hour"], declared)] == ["12", "3", "0"]
    declared.input_fields.add(input_name="dt", input_type=data_pb2.INT64)
    with pytest.raises(DataError, match=r'part-0.parquet: partition column "dt": "2024-05-01" is not int64'):
        open_reader(declared, str(tmp_path))


@pytest.mark.parametrize("file_format", COLUMNAR, ids=lambda item: item.name)
def test_folders_are_columns_in_every_format(file_format: Any, tmp_path: Path) -> None:
    (tmp_path / "dt=7").mkdir()
    file_format.write(pa.table({"x": [1, 2]}), f"{tmp_path}/dt=7/a")
    config = data_pb2.DataConfig(dataset_type=getattr(data_pb2, file_format.dataset_type))
    assert rows_of(tmp_path, ["dt", "x"], config) == [{"dt": 7, "x": 1}, {"dt": 7, "x": 2}]


def test_column_of_a_file_precedes_its_folder_and_is_noted(tmp_path: Path) -> None:
    write(tmp_path, "dt=1", dt=["stored"])
    reader = open_reader(CONFIG, str(tmp_path), ["dt"])
    assert rows_of(tmp_path, ["dt"]) == [{"dt": "stored"}]
    (note,) = reader.notes
    assert note.endswith('part-0.parquet: column "dt" is read from the file, not from its folder "dt=..."')
    assert reader.select(["x"]).notes == ()


def test_file_outside_of_the_folders_lacks_their_column(tmp_path: Path) -> None:
    write(tmp_path, "dt=1", "plain")
    assert len(rows_of(tmp_path, ["x"])) == 2
    with pytest.raises(DataError, match=r'plain/part-0.parquet: no column "dt"'):
        open_reader(CONFIG, str(tmp_path), ["dt"])


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("dt=2024-01-30..2024-02-02", ["2024-01-30", "2024-01-31", "2024-02-02"], ["2024-01-29", "2024-02-03", None]),
        ("dt=2024-01..2024-02", ["2024-01-01", "2024-02-29"], ["2023-12-31", "2024-03-01"]),
        ("hour=3..12", ["3", "03", "12"], ["2", "13", "x", None]),
        ("hour=..12", ["-1", "12"], ["13"]),
        ("hour=3..", ["3", "100"], ["2"]),
        ("a=b%20c..", ["b c", "z"], ["b b"]),
    ],
)
def test_range_contains_both_ends(text: str, inside: list[str], outside: list[str]) -> None:
    chosen = PartitionRange.parse(text)
    assert chosen is not None
    assert [value in chosen for value in inside] == [True] * len(inside)
    assert [value in chosen for value in outside] == [False] * len(outside)


def test_files_of_a_delta_table_are_not_read_without_its_log(tmp_path: Path) -> None:
    write(tmp_path / "clicks", "_delta_log", "dt=1")
    for path in ("clicks", "clicks/", "clicks/dt=*", "clicks/**/*.parquet"):
        with pytest.raises(DataError, match=r"is a Delta Lake table.* set data_config.dataset_type to DeltaDataset"):
            expand(f"{tmp_path}/{path}")


DAYS = [f"dt=2024-01-{day:02d}/hour={hour}" for day in range(1, 10) for hour in (3, 12)]


@pytest.mark.parametrize("protocol", ["", "memory://"])
def test_ranges_choose_folders_of_every_level(protocol: str, tmp_path: Path) -> None:
    write(tmp_path, *DAYS)
    root = str(tmp_path)
    if protocol:
        fsspec.filesystem("memory").put(f"{tmp_path}/", "/tzrec_ranges/", recursive=True)
        root = "memory://tzrec_ranges"

    def numbers(pattern: str) -> list[int]:
        return sorted(row["x"] for row in rows_of(f"{root}/{pattern}", ["x"]))

    assert numbers("dt=2024-01-02..2024-01-03") == [2, 3, 4, 5]
    assert numbers("dt=2024-01-02..2024-01-03/*/*.parquet") == [2, 3, 4, 5]
    assert numbers("dt=2024-01-08../hour=4..") == [15, 17]
    assert numbers("dt=*/hour=..3/part-*") == list(range(0, 18, 2))
    if protocol:
        fsspec.filesystem("memory").rm("/tzrec_ranges", recursive=True)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "dt=2024-01-09..2024-01-02",
            '"dt=2024-01-09..2024-01-02" is not a range of partitions: it ends before it begi',
        ),
        ("dt=..", "a range has two ends, of which one can be left out; write dt=FROM..TO"),
        ("dt=1..2..3", "a range has two ends"),
        ("dt=2024-*..2024-02", "without wildcards or brackets; write dt=FROM..TO, such as dt=2024-01-01..2024-01-07"),
        ("dt=[2024-01-01,2024-01-07]", r'"dt=\[2024-01-01": brackets and braces do not choose .* write dt=FROM..TO'),
        ("dt={2024-01-01..2024-01-07}", "brackets and braces do not choose partitions; write dt=FROM..TO"),
        ("dt=2025-01..2025-02", r'no file matches .*; "dt=2025-01..2025-02" contains none of its values: 2024-01-01, '),
        ("day=1..2", 'has no folder "day=..."'),
    ],
)
def test_malformed_or_empty_range_is_refused_with_the_notation(path: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, *DAYS)
    with pytest.raises(DataError, match=message):
        expand(f"{tmp_path}/{path}")
