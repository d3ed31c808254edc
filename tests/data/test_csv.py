from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tzrec.data.csv import BLOCK_BYTES, CsvReader
from tzrec.errors import DataError
from tzrec.protos import data_pb2


def open_csv(path: Path, columns: list[str] | None = None, **settings: object) -> CsvReader:
    config = data_pb2.DataConfig(dataset_type=data_pb2.CsvDataset, **settings)  # type: ignore[arg-type]
    return CsvReader(config, f"{path}/*", columns)


def cells(reader: CsvReader) -> list[dict[str, str | None]]:
    return [row for piece in reader.read() for row in piece.batch.to_pylist()]


def test_csv_reader_handles_quotes_nulls_and_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('\ufeffa,b\n1,"x,y"\n\n,""\nNA,"two\nlines"\n007,"say ""so"""\n')
    reader = open_csv(tmp_path, with_header=True, null_values=["NA"])
    assert cells(reader) == [
        {"a": "1", "b": "x,y"},
        {"a": None, "b": None},
        {"a": None, "b": "two\nlines"},
        {"a": "007", "b": 'say "so"'},
    ]
    assert [reader.describe(row).rpartition(", ")[2] for row in range(4)] == ["line 2", "line 4", "line 5", "line 7"]
    assert [reader.locate(row).row for row in range(4)] == [1, 2, 3, 4]


def test_csv_reader_for_file_reads_one_file(tmp_path: Path) -> None:
    for name, text in (("a", "x\n1\n"), ("b", "x\n2\n3,4\n5\n")):
        (tmp_path / name).write_text(text)
    reader = open_csv(tmp_path, with_header=True, bad_row_policy=data_pb2.SKIP_ROW)
    second = reader.for_file(1)
    assert isinstance(second, CsvReader)
    assert cells(second) == [{"x": "2"}, {"x": "5"}]
    assert (second.malformed, reader.malformed, second.group_starts()) == (1, 0, [0])
    assert second.describe(1) == f"{tmp_path}/b, line 4"
    assert len(cells(reader)) == 3


def test_csv_without_header_takes_names_from_the_config(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\t2\n3\t4\n")
    fields = [data_pb2.Field(input_name=name) for name in ("x", "y")]
    reader = open_csv(tmp_path, ["y"], delimiter="\t", input_fields=fields)
    assert cells(reader) == [{"y": "2"}, {"y": "4"}]
    assert reader.describe(1).endswith("line 2")
    text = open_csv(tmp_path, ["p"], delimiter="\t", input_fields=fields, input_fields_str="p:INT64; q:STRING;")
    assert cells(text) == [{"p": "1"}, {"p": "3"}]
    with pytest.raises(DataError, match=r"set data_config.with_header, or list all columns"):
        open_csv(tmp_path, delimiter="\t")


def test_csv_headers_may_differ_in_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a,b\n1,2\n")
    (tmp_path / "b").write_bytes(gzip.compress(b"b,c,a\n4,0,3\n"))
    (tmp_path / "b").rename(tmp_path / "b.gz")
    assert cells(open_csv(tmp_path, ["a", "b"], with_header=True)) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    (tmp_path / "c").write_text("a,d\n1,2\n")
    with pytest.raises(DataError, match=r'c: no column "b". The file has: a, d'):
        cells(open_csv(tmp_path, ["a", "b"], with_header=True))


def test_malformed_lines_in_later_blocks_are_located(tmp_path: Path) -> None:
    """Record numbers continue over blocks."""
    line = "x" * 1000
    rows = 2 * BLOCK_BYTES // 1000
    body = [f"{number},{line}" for number in range(rows)]
    body.insert(rows - 5, "1,2,3")
    (tmp_path / "a").write_text("a,b\n" + "\n".join(body) + "\n")
    with pytest.raises(DataError, match=rf"a, line {rows - 5 + 2}: 3 cells where 2 are expected: '1,2,3'"):
        list(open_csv(tmp_path, with_header=True).read())
    reader = open_csv(tmp_path, ["a"], with_header=True, bad_row_policy=data_pb2.SKIP_ROW)
    pieces = list(reader.read())
    assert len(pieces) > 1
    assert [int(value) for piece in pieces for value in piece.batch["a"].to_pylist()] == list(range(rows))
    assert reader.malformed == 1
    assert reader.describe(rows - 6).endswith(f"line {rows - 6 + 2}")
    assert reader.describe(rows - 5).endswith(f"line {rows - 5 + 3}")


def test_csv_of_another_encoding_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(DataError, match=r"/a: cannot be read as CSV: .*UTF8"):
        cells(open_csv(tmp_path, with_header=True))
