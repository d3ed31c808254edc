"""Tables of nodes and edges: formats, malformed lines, and the copy that processes share."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from tests.fixtures.item_tables import EDGES, NODES, nodes, table
from tzrec.data.samplers.edge_table import EdgeTable
from tzrec.data.samplers.node_table import NodeTable
from tzrec.data.samplers.proposal import Proposal
from tzrec.errors import DataError

__all__ = ["table"]
Table = Callable[..., str]
FIELDS = ("item_id", "price")


def contents(opened: NodeTable) -> tuple[list[Any], list[float], dict[str, list[str]]]:
    rows = np.arange(len(opened))
    attributes = {name: texts.to_pylist() for name, texts in opened.attributes(rows).items()}
    return opened.id_texts(rows).to_pylist(), opened.weights.tolist(), attributes


EXPECTED = ([7, -3], [1.5, 0.0], {"item_id": ["7", "-3"], "price": ["0.7", ""]})
LINES = [(7, 1.5, "7:0.7"), (-3, 0, "-3:")]


@pytest.mark.parametrize("name", ["attrs", "feature", "features"])
def test_text_table_is_read(table: Table, name: str) -> None:
    assert contents(NodeTable.open(table("items", NODES.replace("attrs", name), LINES), FIELDS)) == EXPECTED


def test_table_with_carriage_returns_blank_lines_and_bom_is_read(table: Table, tmp_path: Path) -> None:
    text = Path(table("items", NODES, LINES)).read_text().replace("\n", "\r\n")
    (tmp_path / "items").write_bytes(("\ufeff" + text + "\r\n").encode())
    assert contents(NodeTable.open(str(tmp_path / "items"), FIELDS)) == EXPECTED


def test_table_with_own_delimiters_is_read(table: Table) -> None:
    lines = [(7, 1.5, "7\x020.7"), (-3, 0, "-3\x02")]
    path = table("items", NODES.replace("\t", "\x01"), lines, "\x01")
    assert contents(NodeTable.open(path, FIELDS, "\x02", "\x01")) == EXPECTED


def test_field_delimiter_that_the_header_lacks_gives_way_to_tab(table: Table) -> None:
    assert contents(NodeTable.open(table("items", NODES, LINES), FIELDS, field_delimiter=";")) == EXPECTED


def test_csv_table_with_a_column_per_attribute_is_read(table: Table) -> None:
    path = table("items.csv", "id,weight,price,item_id", [(7, 1.5, 0.7, 7), (-3, 0, '""', -3)], ",")
    assert contents(NodeTable.open(path, FIELDS)) == EXPECTED


def test_compressed_table_is_read(table: Table, tmp_path: Path) -> None:
    text = Path(table("items", NODES, LINES)).read_bytes()
    (tmp_path / "items.gz").write_bytes(gzip.compress(text))
    assert contents(NodeTable.open(str(tmp_path / "items.gz"), FIELDS)) == EXPECTED


def columnar() -> pa.Table:
    columns = {"item_id": [7, -3], "id": pa.array([7, -3], pa.int32()), "price": ["0.7", None]}
    return pa.table({**columns, "weight": pa.array([1.5, 0], pa.float32())})


@pytest.mark.parametrize("name", ["items.parquet", "items.feather"])
def test_columnar_table_is_read_by_names(table: Table, tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    pq.write_table(columnar(), path) if name.endswith("parquet") else feather.write_feather(columnar(), path)
    assert contents(NodeTable.open(path, FIELDS)) == EXPECTED


def test_lists_of_a_columnar_table_are_joined(table: Table, tmp_path: Path) -> None:
    tags = pa.array([[1, 2], [], None], pa.list_(pa.int64()))
    pq.write_table(pa.table({"id": ["a", "b", "c"], "weight": [1.0] * 3, "tags": tags}), tmp_path / "x.parquet")
    opened = NodeTable.open(str(tmp_path / "x.parquet"), ["tags"])
    assert opened.attributes(np.arange(3))["tags"].to_pylist() == ["1\x1d2", "", ""]


def test_columnar_table_with_joined_attributes_is_read(table: Table, tmp_path: Path) -> None:
    rows = pa.table({"id": [7, -3], "weight": [1.5, 0.0], "attrs": ["7:0.7", "-3:"]})
    pq.write_table(rows, tmp_path / "x.parquet")
    assert contents(NodeTable.open(str(tmp_path / "x.parquet"), FIELDS)) == EXPECTED


def test_files_of_a_store_and_a_glob_are_read(table: Table, tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for part, line in enumerate(LINES):
        memory.pipe(f"/sampler/items-{part}.txt", f"{NODES}\n{line[0]}\t{line[1]}\t{line[2]}\n".encode())
    assert contents(NodeTable.open("memory://sampler/items-*.txt", FIELDS)) == EXPECTED


def test_repeated_id_counts_once_with_a_warning(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    opened = NodeTable.open(table("items", NODES, [(1, 2, "1:a"), (2, 1, "2:b"), (1, 9, "1:c")]), FIELDS)
    assert opened.weights.tolist() == [2, 1, 0]
    assert opened.find(np.array([1, 2, 3])).tolist() == [0, 1, -1]
    assert "1 of 3 rows repeat the id of an earlier row and are left out, first in row 3" in caplog.text


NOT_INTEGER = r"items:3: column \"id\" \(id\) has 'x': not a 64-bit integer; .* or declare the column as string"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("x", 1, "x:1"), NOT_INTEGER),
        ((1 << 63, 1, "x:1"), "not a 64-bit integer"),
        (("", 1, "x:1"), r"items:3: column \"id\" \(id\) has ''"),
        ((3, "heavy", "3:1"), r"items:3: column \"weight\" \(weight\) has 'heavy': not a number"),
        ((3, "nan", "3:1"), "not a number"),
        ((3, -1, "3:1"), r"items:3: .* has '-1': a weight is a finite number, at least 0"),
        ((3, "inf", "3:1"), "has 'inf': a weight is a finite number"),
        ((3, 1, "3"), r"items:3: .*'3': not 2 attributes divided by attr_delimiter ':', as attr_fields names"),
        ((3, 1, "3:1:2"), "not 2 attributes"),
        ((3, 1), r"items:3: has 2 columns in place of 3 \(id, weight, attrs\), divided by '\\t'"),
        ((3, 1, "3:1", "more"), "has 4 columns in place of 3"),
    ],
)
def test_malformed_line_is_an_error_with_its_number(table: Table, line: tuple[Any, ...], message: str) -> None:
    path = table("items", NODES, [(1, 1, "1:1"), line, (4, 1, "4:1")])
    with pytest.raises(DataError, match=message):
        NodeTable.open(path, FIELDS)


def test_line_that_is_not_utf8_is_an_error_with_its_number(table: Table, tmp_path: Path) -> None:
    (tmp_path / "items").write_bytes(f"{NODES}\n1\t1\t1:1\n2\t1\t2:".encode() + b"caf\xe9\n")
    with pytest.raises(DataError, match=r"items:3: .*caf\ufffd': not UTF-8; convert the file, e.g. iconv"):
        NodeTable.open(str(tmp_path / "items"), FIELDS)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("1\t1.0\t1:1", r"items:1: '1.*' is no header of a table. Write the names and types .* id:int64<TAB>weight"),
        ("id:int64 weight:float", "is no header of a table"),
        ("id:uuid\tweight:float\tattrs:string", 'items:1: column "id" has the unknown type "uuid"; write one of int64'),
        ("id:int64\tweight:float", "has no column of attributes for attr_fields item_id, price"),
        ("", "items: is empty; write the header id:int64"),
        (NODES, "items: has no item; write a line per item below the header"),
    ],
)
def test_table_without_header_or_items_is_an_error(table: Table, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        NodeTable.open(table("items", header), FIELDS)


def test_missing_table_is_an_error(table: Table, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        NodeTable.open(f"{tmp_path}/none", FIELDS)
    with pytest.raises(DataError, match="MaxCompute tables cannot be read; export it to a file"):
        NodeTable.open("odps://project/tables/items", FIELDS)


def test_files_with_different_headers_are_an_error(table: Table, tmp_path: Path) -> None:
    table("a1", NODES, [(1, 1, "1:1")])
    table("a2", NODES.replace("attrs", "other"), [(2, 1, "2:1")])
    with pytest.raises(DataError, match=r"a2: has the columns id, weight, other, but .*a1 has id, weight, attrs"):
        NodeTable.open(f"{tmp_path}/a*", FIELDS)


def test_null_of_a_columnar_table_is_an_error_with_its_row(table: Table, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, None], "weight": [1.0, 1.0], "attrs": ["1:1", "2:2"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r'x.parquet, row 2: column "id" \(id\) is null; give it a value'):
        NodeTable.open(str(tmp_path / "x.parquet"), FIELDS)


def test_table_without_positive_weight_is_an_error(table: Table) -> None:
    opened = NodeTable.open(table("items", NODES, nodes(3, weight=0)), FIELDS)
    with pytest.raises(DataError, match="the weights of the items have the sum 0; give at least one item a positive"):
        Proposal(opened)


def test_edges_are_grouped_in_the_order_of_the_file(table: Table) -> None:
    items = NodeTable.open(table("items", NODES, nodes(10)), FIELDS)
    edges = EdgeTable.open(table("edges", EDGES, [(5, 3, 1), (-2, 1, 1), (5, 0, 1), (5, 3, 1)]), items)
    offsets, targets = edges.neighbours(edges.find(np.array([-2, 7, 5])))
    assert (offsets.tolist(), targets.tolist()) == ([0, 1, 1, 4], [1, 3, 0, 3])
    assert edges.neighbours(edges.find(np.array([5, -2])), 2)[1].tolist() == [3, 0, 1]
    assert len(edges) == 4


def test_edges_between_text_ids_are_read(table: Table) -> None:
    items = NodeTable.open(table("items", NODES.replace("int64", "string"), [("a", 1, "a:1"), ("b", 1, "b:1")]), FIELDS)
    header = EDGES.replace("int64", "string")
    edges = EdgeTable.open(table("edges", header, [("u", "b", 1), ("v", "a", 1)]), items)
    users = edges.find_column(pa.array(["v", "u", "w", None]), "user_id", None)  # type: ignore[arg-type]
    assert edges.neighbours(users)[1].tolist() == [0, 1]


def test_edges_to_unknown_items_are_left_out(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    items = NodeTable.open(table("items", NODES, nodes(3)), FIELDS)
    edges = EdgeTable.open(table("edges", EDGES, [(1, 77, 1), (1, 2, 1)]), items)
    assert edges.targets.tolist() == [2]
    assert "1 of 2 edges lead to ids that" in caplog.text and 'does not have, such as "77"' in caplog.text
    with pytest.raises(DataError, match=r"2 of 2 edges lead to ids that .* write the same ids in both tables"):
        EdgeTable.open(table("others", EDGES, [(1, 77, 1), (1, 78, 1)]), items)


def test_malformed_edge_is_an_error_with_its_number(table: Table) -> None:
    items = NodeTable.open(table("items", NODES, nodes(3)), FIELDS)
    with pytest.raises(DataError, match=r"edges:3: column \"itemid\" \(id\) has 'two': not a 64-bit integer"):
        EdgeTable.open(table("edges", EDGES, [(1, 1, 1), (1, "two", 1)]), items)


def test_changed_file_is_converted_again(table: Table, tmp_path: Path) -> None:
    path = table("items", NODES, nodes(3))
    assert len(NodeTable.open(path, FIELDS)) == 3
    table("items", NODES, nodes(4))
    assert len(NodeTable.open(path, FIELDS)) == 4
    before = os.stat(path)
    table("items", NODES, [(9, 1, "9:1"), *nodes(3)[1:], (3, 1, "3:0.3")])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert NodeTable.open(path, FIELDS).keys.tolist() == [9, 1, 2, 3]


def test_other_fields_of_the_same_file_are_another_table(table: Table) -> None:
    path = table("items", NODES, nodes(3))
    NodeTable.open(path, FIELDS)
    with pytest.raises(DataError, match="not 1 attributes"):
        NodeTable.open(path, ["item_id"])


def test_failed_conversion_leaves_nothing(table: Table, tmp_path: Path) -> None:
    path = table("items", NODES, [("x", 1, "1:1")])
    for _ in range(2):
        with pytest.raises(DataError, match="items:2"):
            NodeTable.open(path, FIELDS)
    assert [entry.name for entry in (tmp_path / "cache/tzrec/samplers").iterdir() if entry.is_dir()] == []


def test_folder_of_caches_that_cannot_be_written_is_an_error(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table("items", NODES, nodes(3))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be copied to .*/file/tzrec/samplers/.* or set XDG_CACHE_HOME"):
        NodeTable.open(path, FIELDS)


def test_old_conversions_are_deleted(table: Table, tmp_path: Path) -> None:
    NodeTable.open(table("old", NODES, nodes(3)), FIELDS)
    (kept,) = (entry for entry in (tmp_path / "cache/tzrec/samplers").iterdir() if entry.is_dir())
    os.utime(kept, (0, time.time() - 8 * 24 * 3600))
    NodeTable.open(table("new", NODES, nodes(3)), FIELDS)
    assert not kept.exists()


def open_and_report(path: str, cache: str, queue: Any) -> None:
    os.environ["XDG_CACHE_HOME"] = cache
    import logging

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("tzrec").addHandler(handler)
    logging.getLogger("tzrec").setLevel(logging.INFO)
    opened = NodeTable.open(path, FIELDS)
    queue.put((int(opened.keys.sum()), sum("converted in" in line for line in lines)))


def test_processes_that_open_a_table_together_convert_it_once(table: Table, tmp_path: Path) -> None:
    path, context = table("items", NODES, nodes(50_000)), get_context("fork")
    queue = context.Queue()
    ranks = [context.Process(target=open_and_report, args=(path, str(tmp_path / "c"), queue)) for _ in range(3)]
    for rank in ranks:
        rank.start()
    reports = [queue.get(timeout=60) for _ in ranks]
    for rank in ranks:
        rank.join(60)
    assert [total for total, _ in reports] == [sum(range(50_000))] * 3
    assert sum(conversions for _, conversions in reports) == 1
