"""Texts whose dataset_type is a warehouse or a stream: files are read by their own type, tables are a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, replaced
from tzrec.config.check import inspect
from tzrec.config.datasets import dataset_of_files
from tzrec.config.load import load_source
from tzrec.data.formats import COLUMNAR
from tzrec.data.reader import open_reader
from tzrec.errors import DataError
from tzrec.protos.data_pb2 import ArrowDataset, CsvDataset, DataConfig, DatasetType, OdpsDataset, ParquetDataset

TABLE = "odps://project/tables/clicks/dt=20240101"


@pytest.mark.parametrize(
    ("path", "dataset"),
    [
        ("data/*.parquet", ParquetDataset),
        ("a.parquet,b/*.parquet", ParquetDataset),
        ("a.csv", CsvDataset),
        ("s3://bucket/day/*.CSV.gz", CsvDataset),
        ("x/part-?.feather", ArrowDataset),
        ("data/*", ParquetDataset),
        ("data/dt=2024-*/part-*", ParquetDataset),
        ("a.parquet,b.csv", None),
        ("data/clicks", None),
        (TABLE, None),
        (f"a.parquet,{TABLE}", None),
        ("odps://project/tables/clicks/dt=202401*", None),
        ("kafka://broker/topic?group.id=x", None),
        ("", None),
    ],
)
def test_dataset_of_files_is_known_by_extension_or_glob(path: str, dataset: int | None) -> None:
    assert dataset_of_files(path) == dataset


@pytest.mark.parametrize("kind", ["OdpsDataset", "OdpsDatasetV1", "KafkaDataset"])
def test_dataset_type_of_plain_files_is_replaced_with_one_warning(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "my.config"
    path.write_text(MMOE.replace("ParquetDataset", kind))
    checker = inspect(load_source(str(path)))
    assert checker.problems == []
    assert checker.config.data_config.dataset_type == ParquetDataset
    (warning,) = checker.warnings
    assert str(warning).endswith("data_config.dataset_type: the paths name files, which are read as ParquetDataset")


def test_missing_dataset_type_is_that_of_the_files(tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_text(MMOE.replace("dataset_type: ParquetDataset", ""))
    assert load_source(str(path)).config.data_config.dataset_type == ParquetDataset


def test_dataset_type_of_a_table_is_a_warning_with_the_command_to_export_it(tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_text(
        replaced(
            MMOE, "ParquetDataset", "OdpsDataset", "data/train/*.parquet", TABLE, "data/eval/*.parquet", f"{TABLE}_2"
        )
    )
    checker = inspect(load_source(str(path)))
    assert checker.problems == []
    (warning,) = checker.warnings
    assert "OdpsDataset cannot be read; export the table to files, e.g. by the command `tunnel download" in str(warning)


def test_reading_a_table_is_an_error_with_the_command_to_export_it() -> None:
    with pytest.raises(DataError, match=r'"odps://.*OdpsDataset cannot be read; export the table .*tunnel download'):
        open_reader(DataConfig(dataset_type=OdpsDataset), TABLE)


def test_reading_files_by_the_type_of_a_warehouse_reads_the_files(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("user,price\n1,2\n")
    reader = open_reader(DataConfig(dataset_type=OdpsDataset, with_header=True), str(path))
    assert type(reader).__name__ == "CsvReader"


def test_extension_of_every_format_is_known() -> None:
    for item in COLUMNAR:
        assert dataset_of_files(f"x.{item.extension}") == DatasetType.Value(item.dataset_type)
