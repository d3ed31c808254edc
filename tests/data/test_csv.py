from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest

from tzrec.data.bad_lines import COLUMN_NAMES, OPEN_QUOTE, WRONG_CELLS
from tzrec.data.csv import CsvReader
from tzrec.data.text_chunk import CHUNK_BYTES
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
    assert (second.bad_lines.counts, reader.bad_lines.counts) == ({WRONG_CELLS: 1}, {})
    assert second.block_starts() is None
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
    rows = 2 * CHUNK_BYTES // 1000
    body = [f"{number},{line}" for number in range(rows)]
    body.insert(rows - 5, "1,2,3")
    (tmp_path / "a").write_text("a,b\n" + "\n".join(body) + "\n")
    with pytest.raises(DataError, match=rf"a, line {rows - 5 + 2}: 3 cells where 2 are expected: '1,2,3'"):
        list(open_csv(tmp_path, with_header=True).read())
    reader = open_csv(tmp_path, ["a"], with_header=True, bad_row_policy=data_pb2.SKIP_ROW)
    pieces = list(reader.read())
    assert len(pieces) > 1
    assert [int(value) for piece in pieces for value in piece.batch["a"].to_pylist()] == list(range(rows))
    assert reader.bad_lines.counts[WRONG_CELLS] == 1
    assert reader.describe(rows - 6).endswith(f"line {rows - 6 + 2}")
    assert reader.describe(rows - 5).endswith(f"line {rows - 5 + 3}")


HEADER = "user,item,price,title,clk\n"


def rows_of_films(count: int, first: int = 0) -> list[str]:
    return [f"{i},{i % 7},{i}.5,film {i},{i % 2}" for i in range(first, first + count)]


def write_lines(path: Path, lines: list[str], header: str = HEADER) -> None:
    path.write_text(header + "\n".join(lines) + "\n")


def skipping(path: Path, columns: list[str] | None = None, **settings: object) -> CsvReader:
    return open_csv(path, columns, **{"with_header": True, "bad_row_policy": data_pb2.SKIP_ROW, **settings})


def users(reader: CsvReader) -> list[int]:
    return [int(user) for piece in reader.read() for user in piece.batch["user"].to_pylist()]


OPEN_QUOTES = {
    "last cell": (4, '"1', "never closes"),
    "first cell": (0, '"100', "never closes"),
    "inner cell": (3, '"12 monkeys', "never closes"),
}


@pytest.mark.parametrize("case", OPEN_QUOTES)
@pytest.mark.parametrize("num_lines", [300, 100_000])
def test_quote_that_never_closes_costs_its_own_line_only(tmp_path: Path, case: str, num_lines: int) -> None:
    column, cell, detail = OPEN_QUOTES[case]
    lines = rows_of_films(num_lines)
    cells_of_line = lines[100].split(",")
    lines[100] = ",".join([*cells_of_line[:column], cell, *cells_of_line[column + 1 :]])
    write_lines(tmp_path / "a", lines)
    with pytest.raises(DataError, match=rf"/a, line 102: the quote that opens this cell {detail}: '\"") as caught:
        users(open_csv(tmp_path, with_header=True))
    assert "data_config.quote" in str(caught.value)
    assert len(str(caught.value)) < 600
    reader = skipping(tmp_path)
    assert users(reader) == [i for i in range(num_lines) if i != 100]
    assert reader.bad_lines.counts == {OPEN_QUOTE: 1}
    assert reader.describe(100).endswith("line 103")
    assert reader.describe(num_lines - 2).endswith(f"line {num_lines + 1}")


@pytest.mark.parametrize(
    ("closing", "cell"),
    [
        ('"13 ghosts"', "13 ghosts"),  # the quote of a cell that is fine
        ('12"', '12"'),  # by accident, at the end of a cell
        ('the 12" disc', 'the 12" disc'),  # inside of a cell
    ],
)
@pytest.mark.parametrize("column", [3, 4])
def test_quote_that_a_later_one_closes_costs_its_own_line_only(
    tmp_path: Path, closing: str, cell: str, column: int
) -> None:
    detail = "closes 50 lines later and takes in rows"
    header = HEADER if column == 3 else "user,item,price,clk,title\n"
    lines = [f"{i},{i % 7},{i}.5,film {i},{i % 2}" for i in range(200)]
    if column == 4:
        lines = [f"{i},{i % 7},{i}.5,{i % 2},film {i}" for i in range(200)]
    lines[100] = lines[100].replace("film 100", '"12 monkeys')
    lines[150] = lines[150].replace("film 150", closing)
    write_lines(tmp_path / "a", lines, header)
    with pytest.raises(DataError, match=rf"/a, line 102: the quote that opens this cell {detail}: '\"12 monkeys"):
        users(open_csv(tmp_path, with_header=True))
    reader = skipping(tmp_path)
    titles = [title for piece in reader.read() for title in piece.batch["title"].to_pylist()]
    assert (len(titles), titles[149]) == (199, cell)
    assert users(reader) == [i for i in range(200) if i != 100]


def test_quote_on_one_of_two_adjacent_lines_costs_its_own_line_only(tmp_path: Path) -> None:
    lines = rows_of_films(50)
    lines[10] = '10,3,10.5,"12 monkeys,0'
    lines[11] = '11,4,11.5,the twelve",1'
    write_lines(tmp_path / "a", lines)
    reader = skipping(tmp_path)
    assert users(reader) == [i for i in range(50) if i != 10]


def test_quote_that_the_last_line_closes_costs_its_own_line_only(tmp_path: Path) -> None:
    """The last line has no line break, and the cells of both lines make a record of another width."""
    lines = rows_of_films(50)
    lines[48] = '"48,6,48.5,12 monkeys,0'
    lines[49] = '49,0,49.5,twelve",1'
    (tmp_path / "a").write_text(HEADER + "\n".join(lines))
    reader = skipping(tmp_path)
    assert users(reader) == [i for i in range(50) if i != 48]
    assert reader.bad_lines.counts == {OPEN_QUOTE: 1}


def test_quotes_off_keeps_every_line(tmp_path: Path) -> None:
    lines = rows_of_films(50)
    lines[10] = '10,3,10.5,"12 monkeys,0'
    write_lines(tmp_path / "a", lines)
    reader = open_csv(tmp_path, with_header=True, quote="")
    rows = cells(reader)
    assert (len(rows), rows[10]["title"], reader.describe(10)[-7:]) == (50, '"12 monkeys', "line 12")
    (tmp_path / "a").write_text("user,clk\n'a,b',1\n\"c,0\n")
    rows = cells(open_csv(tmp_path, with_header=True, quote="'"))
    assert rows == [{"user": "a,b", "clk": "1"}, {"user": '"c', "clk": "0"}]


def test_text_of_several_lines_in_quotes_is_one_cell(tmp_path: Path) -> None:
    """Prose with as many commas as a row has is no row: it has no numbers in the columns of numbers."""
    text = "well, yes, no, maybe, so\nand, then, it, goes, on\n\n" + "a line\n" * 100
    lines = rows_of_films(3000)
    for i in range(0, 3000, 10):
        lines[i] = f'{i},0,1.5,"{text}",1'
    write_lines(tmp_path / "a", lines)
    reader = open_csv(tmp_path, with_header=True)
    rows = cells(reader)
    assert [int(row["user"] or -1) for row in rows] == list(range(3000))
    assert {row["title"] for row in rows[::10]} == {text}
    assert reader.describe(10).endswith(f"line {2 + 10 + text.count(chr(10))}")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("title,price,clk\n", '"film {i}\nsecond",{i}.5,1'),  # the second line has the cells of a row, the first not
        ("user,title,price,clk\n", '{i},"film {i}\nsecond, line",{i}.5,1'),
        ("price,clk,title\n", '{i}.5,1,"film {i}\nsecond, third, fourth"'),  # only the numbers tell
        ("user,title,price,clk\n", '{i},"a, b\nc, d, e, f\ng",{i}.5,1'),
    ],
)
def test_text_of_two_lines_in_quotes_is_one_cell_in_any_column(tmp_path: Path, header: str, row: str) -> None:
    (tmp_path / "a").write_text(header + "\n".join(row.format(i=i) for i in range(400)) + "\n")
    rows = cells(open_csv(tmp_path, with_header=True))
    assert [float(row["price"] or -1) for row in rows] == [i + 0.5 for i in range(400)]
    assert all("\n" in (row["title"] or "") for row in rows)


def test_large_cells_and_lines_are_read(tmp_path: Path) -> None:
    """Cells above the limits of Python's csv module and of a block."""
    lines = rows_of_films(500)
    lines[100] = f"100,2,100.5,{'x' * 200_000},0"
    lines[101] = f'101,2,101.5,"{"y" * (CHUNK_BYTES + 2_000_000)}",0'
    lines[102] += ",extra"
    write_lines(tmp_path / "a", lines)
    reader = skipping(tmp_path)
    rows = cells(reader)
    assert [int(row["user"] or -1) for row in rows] == [i for i in range(500) if i != 102]
    assert [len(row["title"] or "") for row in rows[100:102]] == [200_000, CHUNK_BYTES + 2_000_000]
    assert reader.describe(102).endswith("line 105")
    with pytest.raises(DataError, match="a, line 104: 6 cells where 5 are expected"):
        users(open_csv(tmp_path, with_header=True))


def test_line_without_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tzrec.data.text_file.MAX_RECORD_BYTES", 1 << 20)
    (tmp_path / "a").write_bytes(b"user,clk\n1,0\n" + b"x" * (CHUNK_BYTES + 1))
    reader = open_csv(tmp_path, with_header=True)
    with pytest.raises(DataError, match=r"a, line 3: more than 1.0 MB without an end of the row"):
        cells(reader)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("end", ["", "end"])
def test_line_breaks_and_the_last_line(tmp_path: Path, line_break: str, end: str) -> None:
    text = line_break.join([HEADER.strip(), *rows_of_films(9)]) + (line_break if end else "")
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf" + text.encode())
    reader = skipping(tmp_path)
    assert users(reader) == list(range(9))
    assert reader.describe(8).endswith("line 10")
    (tmp_path / "a").write_bytes(text.replace(f"1{line_break}2", f'"1{line_break}2"').encode())
    lines = text.split(line_break)
    lines[5] += ",extra"
    (tmp_path / "a").write_bytes(line_break.join(lines).encode())
    reader = skipping(tmp_path)
    assert users(reader) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert reader.describe(4).endswith("line 7")


def test_empty_lines_and_nul_bytes_lose_no_row(tmp_path: Path) -> None:
    lines = rows_of_films(30)
    lines[7] = lines[7].replace("film", "fi\0lm")
    (tmp_path / "a").write_text("\n" + HEADER + "\n" + "\n\n".join(lines) + "\n\n\n")
    reader = open_csv(tmp_path, with_header=True)
    rows = cells(reader)
    assert [int(row["user"] or -1) for row in rows] == list(range(30))
    assert (rows[7]["title"], reader.describe(1)[-6:]) == ("fi\0lm 7", "line 6")


def test_names_of_columns_in_the_middle_are_no_row(tmp_path: Path) -> None:
    """Files that were concatenated have a header each."""
    lines = rows_of_films(10)
    lines.insert(4, HEADER.strip())
    write_lines(tmp_path / "a", lines)
    with pytest.raises(DataError, match=r"a, line 6: the line holds the names of the columns once more: 'user,item"):
        users(open_csv(tmp_path, with_header=True))
    reader = skipping(tmp_path)
    assert users(reader) == list(range(10))
    assert reader.bad_lines.counts == {COLUMN_NAMES: 1}
    assert reader.describe(4).endswith("line 7")


def test_header_where_none_is_expected_is_no_row(tmp_path: Path) -> None:
    write_lines(tmp_path / "a", rows_of_films(10))
    fields = [data_pb2.Field(input_name=name) for name in HEADER.strip().split(",")]
    reader = skipping(tmp_path, with_header=False, input_fields=fields)
    assert users(reader) == list(range(10))
    assert [line.line for _, line in reader.bad_lines.sample] == [1]


def test_files_without_rows_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text(HEADER)
    write_lines(tmp_path / "c", rows_of_films(3))
    (tmp_path / "d").write_text(HEADER.strip())
    reader = open_csv(tmp_path, with_header=True)
    assert users(reader) == [0, 1, 2]
    assert reader.locate(2).file == f"{tmp_path}/c"
    (tmp_path / "c").write_text("")
    (tmp_path / "b").unlink()
    (tmp_path / "d").unlink()
    with pytest.raises(DataError, match=r"/a: all files are empty"):
        open_csv(tmp_path, with_header=True)


def test_headers_of_all_files_are_compared_before_the_first_row(tmp_path: Path) -> None:
    write_lines(tmp_path / "a", rows_of_films(3))
    write_lines(tmp_path / "b", ["1,2"], "user,price\n")
    with pytest.raises(DataError, match=r'/b: no column "clk". The file has: user, price'):
        open_csv(tmp_path, ["user", "clk"], with_header=True)
    write_lines(tmp_path / "b", ["1|2"], "user|price\n")
    with pytest.raises(DataError, match=r"user\|price. Is data_config.delimiter the one of this file\?"):
        open_csv(tmp_path, ["user"], with_header=True)


def test_repeated_column_is_an_error_only_if_it_is_read(tmp_path: Path) -> None:
    write_lines(tmp_path / "a", rows_of_films(3), "user,item,item,title,clk\n")
    assert users(open_csv(tmp_path, ["user", "clk"], with_header=True)) == [0, 1, 2]
    assert open_csv(tmp_path, with_header=True).columns == ("user", "title", "clk")
    with pytest.raises(DataError, match=r'/a: 2 columns "item"; rename or drop all but one'):
        open_csv(tmp_path, ["item"], with_header=True)


def test_line_that_ends_in_a_delimiter_is_explained(tmp_path: Path) -> None:
    write_lines(tmp_path / "a", [f"{line}," for line in rows_of_films(3)])
    with pytest.raises(DataError, match="line 2: 6 cells where 5 are expected, for the line ends in a delimiter"):
        users(open_csv(tmp_path, with_header=True))
    write_lines(tmp_path / "a", [f"{line}," for line in rows_of_films(3)], HEADER.strip() + ",\n")
    assert users(open_csv(tmp_path, ["user"], with_header=True)) == [0, 1, 2]


@pytest.mark.parametrize("codec", ["gz", "bz2", "zst", "lz4"])
def test_compressed_file_that_is_cut_off_is_an_error(tmp_path: Path, codec: str) -> None:
    text = (HEADER + "\n".join(rows_of_films(20_000)) + "\n").encode()
    path = tmp_path / f"a.csv.{codec}"
    with pa.output_stream(path, compression="detect") as out:
        out.write(text)
    assert len(users(open_csv(tmp_path, ["user"], with_header=True))) == 20_000
    path.rename(tmp_path / "without_suffix")
    assert len(users(open_csv(tmp_path, ["user"], with_header=True))) == 20_000
    (tmp_path / "without_suffix").rename(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=rf"a\.csv\.{codec}: cannot be read as CSV: Truncated"):
        users(open_csv(tmp_path, ["user"], with_header=True))


def test_text_of_two_bytes_per_character_is_an_error_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(HEADER + "1,2,3,4,5\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"a: is UTF-16LE; convert it: iconv -f UTF-16LE -t UTF-8"):
        open_csv(tmp_path, with_header=True)


def test_invalid_text_in_a_malformed_line_is_one_bad_line(tmp_path: Path) -> None:
    lines = [line.encode() for line in rows_of_films(50)]
    lines[20] = b"1,2,3,caf\xe9,0,extra"
    (tmp_path / "a").write_bytes(HEADER.encode() + b"\n".join(lines))
    with pytest.raises(DataError, match=r"a, line 22: 6 cells where 5 are expected: '1,2,3,caf"):
        users(open_csv(tmp_path, with_header=True))
    reader = skipping(tmp_path)
    assert users(reader) == [i for i in range(50) if i != 20]


@pytest.mark.parametrize("change", ["grows", "shrinks", "vanishes", "is replaced"])
def test_file_that_changes_between_passes_is_an_error(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a"
    write_lines(path, rows_of_films(10))
    reader = open_csv(tmp_path, with_header=True)
    assert len(users(reader)) == 10
    text = path.read_text()
    if change == "vanishes":
        path.unlink()
    else:
        path.write_text({"grows": text + "10,1,1,x,0\n", "shrinks": text[:-20]}.get(change, text[::-1]))
        os.utime(path, ns=(0, 1))
    said = {"vanishes": "is gone", "is replaced": "was written again"}.get(change, "changed in size from")
    with pytest.raises(DataError, match=f"/a: the file {said}"):
        users(reader)


def test_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_lines(path, rows_of_films(300_000))
    reader = open_csv(tmp_path, with_header=True)
    pieces = reader.read()
    assert next(pieces).batch.num_rows > 1000
    with path.open("a") as out:
        out.write("1,2,3,x,0\n")
    with pytest.raises(DataError, match=r"/a: the file changed in size from"):
        list(pieces)


def test_headerless_rows_to_score_need_no_labels(tmp_path: Path) -> None:
    fields = [data_pb2.Field(input_name=name) for name in ("clk", "user", "item", "weight")]
    names = {"input_fields": fields, "label_fields": ["clk"], "sample_weight_fields": ["weight"]}
    (tmp_path / "a").write_text("5,6,1.5\n7,8,1.0\n9,1\n")
    reader = open_csv(tmp_path, ["user", "item"], bad_row_policy=data_pb2.SKIP_ROW, **names)
    assert cells(reader) == [{"user": "5", "item": "6"}, {"user": "7", "item": "8"}]
    assert reader.bad_lines.describe() == (
        f"; 1 lines were left out (wrong number of cells 1), the first of them {tmp_path}/a, line 3: "
        "2 cells where 3 are expected"
    )
    (tmp_path / "a").write_text("5,6\n7,8\n")
    assert cells(open_csv(tmp_path, ["user"], **names)) == [{"user": "5"}, {"user": "7"}]
    with pytest.raises(DataError, match=r'/a: no column "clk". The file has: user, item'):
        open_csv(tmp_path, ["user", "clk"], **names)
    (tmp_path / "a").write_text("5\n7\n")
    with pytest.raises(DataError, match="line 1: 1 cells where 4 are expected"):
        cells(open_csv(tmp_path, ["user"], **names))
