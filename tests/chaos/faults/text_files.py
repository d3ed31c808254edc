"""Delimited text that is broken, or changes while it is read."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

import tzrec
from tests.chaos.fault import Outcome, fault
from tests.chaos.workspace import Workspace, checkpoints, read_tensors, trained_times
from tzrec.data.csv import CsvReader
from tzrec.data.reader import Piece
from tzrec.errors import DataError

SIZES = [200, 200, 200]
ROWS = sum(SIZES)
BROKEN = 1
"""Index of the file that is broken."""
LINE = 101
"""Its line that is broken, from 1: row 299 of all."""
ROW = SIZES[0] + LINE - 2
SETTINGS = "with_header: true"
SKIP, DEFAULT = "bad_row_policy: SKIP_ROW", "bad_row_policy: DEFAULT"

Lines = list[bytes]


def write(
    workspace: Workspace, change: Callable[[Lines], None] = lambda lines: None, quoted: bool = True
) -> list[Path]:
    """Write files of text and change the lines of one of them; returns their paths."""
    workspace.write_rows("data", SIZES, "csv")
    paths = sorted((workspace.directory / "data").glob("*.csv"))
    if not quoted:
        for path in paths:
            path.write_bytes(path.read_bytes().replace(b'"', b""))
    if change:
        lines = paths[BROKEN].read_bytes().split(b"\n")
        change(lines)
        paths[BROKEN].write_bytes(b"\n".join(lines))
    return paths


def config_of(workspace: Workspace, policy: str = "", **values: Any) -> Path:
    values = {"num_rows": ROWS, "save_steps": 1000} | values
    name = f"m{len(list(workspace.directory.glob('*.config')))}"
    data = f"{workspace.directory}/data/*.csv"
    more = f"{SETTINGS} {policy}"
    return workspace.write_config(name, train=data, dataset="CsvDataset", data_more=more, **values)


def refused(workspace: Workspace, *texts: str, **values: Any) -> str:
    """Train, and assert that the run ends with a short message that contains the texts; return it."""
    with pytest.raises(DataError) as caught:
        tzrec.train(config_of(workspace, **values))
    message = str(caught.value)
    for text in texts:
        assert re.search(text, message), message
    assert len(message) < 700, len(message)
    return message


def trained(
    workspace: Workspace, policy: str = "", skipped: Collection[int] = (), num_epochs: int = 1, message: str = ""
) -> Outcome:
    """Train, and count the rows that were lost or repeated, those of bad lines aside: they are left out."""
    run = tzrec.train(config_of(workspace, policy, num_epochs=num_epochs))
    times = trained_times(read_tensors(checkpoints(run.model_dir)[-1]))[:ROWS]
    expected = np.full(ROWS, num_epochs)
    expected[list(skipped)] = 0
    lost, repeated = np.clip(expected - times, 0, None).sum(), np.clip(times - expected, 0, None).sum()
    return Outcome(int(lost), int(repeated), message)


def bad_line(workspace: Workspace, reason: str) -> None:
    """Assert that the sample of bad rows of the last run names the broken line."""
    path = max(workspace.directory.glob("m*/bad_rows.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    records = [json.loads(text) for text in path.read_text().splitlines()]
    assert {(record.get("line"), record["reason"]) for record in records} == {(LINE, reason)}, records


def worst(outcomes: Collection[Outcome], message: str) -> Outcome:
    lost, repeated = (sum(getattr(o, name) for o in outcomes) for name in ("lost_rows", "repeated_rows"))
    return Outcome(lost, repeated, message)


def open_quote(column: int) -> Callable[[Lines], None]:
    """Open a quote in a cell of the broken line."""

    def change(lines: Lines) -> None:
        cells = lines[LINE - 1].replace(b'"', b"").split(b",")
        cells[column] = b'"' + cells[column]
        lines[LINE - 1] = b",".join(cells)

    return change


def add_column(workspace: Workspace, cell: bytes) -> None:
    """Add a column that nothing reads; in the broken line it holds `cell`."""
    for path in (workspace.directory / "data").glob("*.csv"):
        header, *lines = path.read_bytes().rstrip(b"\n").split(b"\n")
        path.write_bytes(b"\n".join([header + b",note", *(line + b",x" for line in lines)]) + b"\n")
    path = workspace.directory / f"data/part-{BROKEN:03}.csv"
    lines = path.read_bytes().split(b"\n")
    lines[LINE - 1] = lines[LINE - 1][:-1] + cell
    path.write_bytes(b"\n".join(lines))


def quote_in_column(workspace: Workspace, column: int, quoted: bool) -> Outcome:
    """Train with an open quote under all policies."""
    write(workspace, open_quote(column), quoted)
    message = refused(workspace, rf"part-001\.csv, line {LINE}: the quote that opens this cell")
    outcomes = []
    for policy in (SKIP, DEFAULT):
        outcomes.append(trained(workspace, policy, skipped=[ROW]))
        bad_line(workspace, "a quote that does not close")
    return worst(outcomes, message)


@fault("text: a quote that never closes in the last column", times=3, short=True)
def open_quote_in_last_column(workspace: Workspace) -> Outcome:
    return quote_in_column(workspace, 4, quoted=False)


@fault("text: a quote that never closes in the first column", times=3)
def open_quote_in_first_column(workspace: Workspace) -> Outcome:
    return quote_in_column(workspace, 0, quoted=False)


@fault("text: a quote that the quotes of later rows close", times=3)
def open_quote_among_quotes(workspace: Workspace) -> Outcome:
    return quote_in_column(workspace, 0, quoted=True)


@fault("text: a quote that the quote of a later cell closes in a text column", times=3)
def open_quote_in_text_column(workspace: Workspace) -> Outcome:
    return quote_in_column(workspace, 2, quoted=True)


@fault("text: a quote that never closes in a column that nothing reads", times=2)
def open_quote_in_unread_column(workspace: Workspace) -> Outcome:
    write(workspace, quoted=False)
    add_column(workspace, b'"x')
    message = refused(workspace, rf"line {LINE}: the quote that opens this cell never closes")
    return worst([trained(workspace, SKIP, skipped=[ROW]), trained(workspace, 'quote: ""')], message)


@fault("text: two quotes that close each other over 60 rows", times=2)
def quotes_that_close_each_other(workspace: Workspace) -> Outcome:
    def change(lines: Lines) -> None:
        open_quote(4)(lines)
        lines[LINE + 59] = lines[LINE + 59] + b'"'

    write(workspace, change, quoted=False)
    message = refused(
        workspace, rf"line {LINE}: the quote that opens this cell closes 60 lines later and takes in rows"
    )
    # the closing quote makes the label of its own line unreadable
    return worst([trained(workspace, SKIP, skipped=[ROW, ROW + 60])], message)


@fault("text: a line of other width, with a cell that is not UTF-8", times=2)
def malformed_line(workspace: Workspace) -> Outcome:
    def change(lines: Lines) -> None:
        lines[LINE - 1] += b",caf\xe9"

    write(workspace, change)
    message = refused(workspace, rf"line {LINE}: 6 cells where 5 are expected")
    outcome = trained(workspace, SKIP, skipped=[ROW])
    bad_line(workspace, "wrong number of cells")
    return worst([outcome], message)


@fault("text: a cell that is not UTF-8 and holds a NUL byte", times=3)
def invalid_text(workspace: Workspace) -> Outcome:
    def change(lines: Lines) -> None:
        lines[LINE - 1] = re.sub(rb'"c\d+"', b'"c\xff\x00"', lines[LINE - 1])

    write(workspace, change)
    message = refused(workspace, rf'line {LINE}: column "cate" has .* not UTF-8\. Convert the file')
    return worst([trained(workspace, SKIP, skipped=[ROW]), trained(workspace, DEFAULT)], message)


@fault("text: a file that is cut in the middle of a row", times=2)
def file_cut_in_a_row(workspace: Workspace) -> Outcome:
    def change(lines: Lines) -> None:
        lines[LINE - 1] = lines[LINE - 1][:9]
        del lines[LINE:]

    write(workspace, change, quoted=False)
    message = refused(workspace, rf"line {LINE}: \d cells where 5 are expected")
    rest = range(ROW, SIZES[0] + SIZES[1])  # is nowhere any more
    return worst([trained(workspace, SKIP, skipped=rest)], message)


@fault("text: cells of 200 kB and 6 MB, and a malformed line after them", times=2)
def large_cells(workspace: Workspace) -> Outcome:
    def change(lines: Lines) -> None:
        for at, size in ((20, 200_000), (30, 6_000_000)):
            lines[at] = re.sub(rb'"c(\d+)"', b'"c\\1' + b"x" * size + b'"', lines[at])
        lines[LINE - 1] += b",extra"

    write(workspace, change)
    message = refused(workspace, rf"line {LINE}: 6 cells where 5 are expected")
    return worst([trained(workspace, SKIP, skipped=[ROW])], message)


@fault("text: files of 0 bytes, with a header only, without a last line break, with CR LF, CR and a BOM", times=6)
def odd_files(workspace: Workspace) -> Outcome:
    paths = write(workspace)
    header = paths[0].read_bytes().split(b"\n")[0]
    directory = paths[0].parent
    (directory / "part-empty.csv").write_bytes(b"")
    (directory / "part-000-header.csv").write_bytes(header + b"\n")
    paths[0].write_bytes(paths[0].read_bytes().rstrip(b"\n"))
    paths[1].write_bytes(b"\xef\xbb\xbf" + paths[1].read_bytes().replace(b"\n", b"\r\n"))
    paths[2].write_bytes(paths[2].read_bytes().replace(b"\n", b"\r"))
    return trained(workspace)


@fault("text: another order of columns in one file, and a header in the middle of it", times=2)
def other_order(workspace: Workspace) -> Outcome:
    def change(lines: Lines) -> None:
        lines[:-1] = [b",".join(reversed(line.split(b","))) for line in lines[:-1]]
        lines.insert(LINE - 1, lines[0])

    write(workspace, change)
    message = refused(workspace, rf"line {LINE}: the line holds the names of the columns once more")
    outcome = trained(workspace, SKIP)
    bad_line(workspace, "the column names once more")
    return worst([outcome], message)


@fault("text: a column missing in one file, and one with two columns of a name", times=2)
def other_columns(workspace: Workspace) -> Outcome:
    paths = write(workspace)
    text = paths[BROKEN].read_bytes()
    paths[BROKEN].write_bytes(text.replace(b'"price"', b'"prize"', 1))
    missing = refused(workspace, r'part-001\.csv: no column "price" \(did you mean "prize"\?\)')
    paths[BROKEN].write_bytes(text.replace(b'"price"', b'"user"', 1))
    refused(workspace, r'part-001\.csv: 2 columns "user"')
    return Outcome(message=missing)


@fault("text: compressed files that are cut off or hold a flipped bit", times=4)
def compressed_file_cut_off(workspace: Workspace) -> Outcome:
    paths = write(workspace)
    text, message = paths[BROKEN].read_bytes(), ""
    for codec in ("gz", "bz2", "zst"):
        path = paths[BROKEN].with_name(f"part-001.csv.{codec}")
        with pa.output_stream(path, compression="detect") as out:
            out.write(text)
        data = path.read_bytes()
        for broken in [data[: len(data) // 2]] + [data[:-6] + bytes([data[-6] ^ 1]) + data[-5:]] * (codec == "gz"):
            paths[BROKEN].write_bytes(broken)  # the first bytes tell the compression
            message = refused(workspace, r"part-001\.csv: cannot be read as CSV: ")
        path.unlink()
    return Outcome(message=message)


@fault("text: ids with an underscore and with Arabic digits", times=2)
def odd_digits(workspace: Workspace) -> Outcome:
    def change(lines: Lines) -> None:
        lines[LINE - 1] = b"2_99" + lines[LINE - 1][lines[LINE - 1].index(b",") :]
        lines[LINE] = "٣٠٠".encode() + lines[LINE][lines[LINE].index(b",") :]

    write(workspace, change)
    message = refused(workspace, rf'line {LINE}: column "row_id" has \'2_99\': not an integer')
    return worst([trained(workspace, SKIP, skipped=[ROW, ROW + 1])], message)


def changed_between_passes(workspace: Workspace, change: Callable[[Path], None], *texts: str) -> Outcome:
    """Change the broken file as soon as the second pass has begun."""
    paths, log = write(workspace), workspace.directory / "log"
    config = config_of(workspace, num_epochs=400)
    process = workspace.start_train(config, log=log)
    while process.poll() is None and not (log.exists() and "epoch 2/" in log.read_text()):
        time.sleep(0.01)
    change(paths[BROKEN])
    assert process.wait(90) == 1, log.read_text()[-3000:]
    output = log.read_text()
    assert "Traceback" not in output, output[-3000:]
    for text in texts:
        assert text in output, output[-3000:]
    return Outcome(message=next(line for line in output.splitlines() if texts[0] in line))


@fault("text: a file that vanishes between two passes", limit_s=150)
def file_vanishes(workspace: Workspace) -> Outcome:
    return changed_between_passes(workspace, Path.unlink, "part-001.csv: the file is gone")


@fault("text: a file that shrinks between two passes", limit_s=150)
def file_shrinks(workspace: Workspace) -> Outcome:
    def change(path: Path) -> None:
        path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:LINE]) + b"\n")

    return changed_between_passes(workspace, change, "part-001.csv: the file changed in size from")


@fault("text: a file that grows while a pass reads it")
def file_grows(workspace: Workspace) -> Outcome:
    paths = write(workspace)
    config = config_of(workspace, num_epochs=3)
    read = CsvReader.read

    def read_growing(reader: CsvReader, *args: int | None, **settings: int) -> Iterator[Piece]:
        for piece in read(reader, *args, **settings):
            with paths[BROKEN].open("ab") as out:
                out.write(paths[0].read_bytes().split(b"\n")[1] + b"\n")
            yield piece

    said = r"part-001\.csv: the file changed in size from"
    with mock.patch.object(CsvReader, "read", read_growing), pytest.raises(DataError, match=said) as caught:
        tzrec.train(config)
    return Outcome(message=str(caught.value))
