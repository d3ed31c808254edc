from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.log_lines import recorded_log
from tzrec import materialize
from tzrec.config.check import load_checked_message
from tzrec.errors import DataError
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.server.stores.build import build_stores


def write_config(directory: Path, extra: str = "") -> Path:
    path = directory / "server.config"
    path.write_text(
        f'feature_stores {{ name: "items" key: "item_id" lmdb_store {{ path: "{directory}/items" }} {extra} }}\n'
        f'feature_stores {{ name: "users" key: "user_id" parquet_store {{ path: "{directory}/users" }} }}\n'
    )
    return path


def rows_of(config: Path, *keys: str) -> dict[str, list[object]]:
    (store,) = build_stores(load_checked_message(str(config), ServeConfig()).feature_stores[:1])
    stored = store.look_up(pa.array(keys, pa.large_string()), ["price", "tags", "added"])
    store.close()
    return stored.table.to_pydict()


def run(config: Path, input_path: Path, store: str = "items", *flags: str) -> int:
    return materialize.main([f"--serve_config={config}", f"--store={store}", f"--input_path={input_path}", *flags])


def test_materialize_writes_readable_columns_and_replaces_rows(tmp_path: Path) -> None:
    pytest.importorskip("lmdb", reason="needs lmdb")
    pytest.importorskip("msgpack", reason="needs msgpack")
    config, table = write_config(tmp_path), tmp_path / "items.parquet"
    columns = {"item_id": [1, 2, None], "price": [1.5, None, 9.0], "tags": [["a"], [], ["z"]]}
    pq.write_table(pa.table({**columns, "added": [datetime.date(2024, 1, 1)] * 3}), table)
    with recorded_log() as lines:
        assert run(config, table) == 0
    assert lines == [
        'materialize  column "added" is date32[day], which is not written',
        "materialize  2 rows are in the store items",
    ]
    assert rows_of(config, "1", "2") == {"price": [1.5, None], "tags": [["a"], []]}
    pq.write_table(pa.table({"item_id": ["2", "3"], "price": [2, 3]}), tmp_path / "more")
    assert run(config, tmp_path / "more", "items", "--reader_type=ParquetReader") == 0
    assert rows_of(config, "1", "2", "3") == {"price": [1.5, 2.0, 3.0], "tags": [["a"], None, None]}
    (tmp_path / "text.csv").write_text("item_id,price\n4,4.5\n")
    assert run(config, tmp_path / "text.csv") == 0
    assert rows_of(config, "4") == {"price": ["4.5"]}
    with pytest.raises(DataError, match="values of one column have different types"):
        rows_of(config, "1", "4")


@pytest.mark.parametrize(
    ("store", "extra", "message"),
    [
        ("item", "", 'has no store "item"; did you mean "items"?'),
        ("users", "", 'the server reads the files of "users" itself; there is nothing to write'),
        ("items", 'columns: "added"', 'column "added" is date32[day], which is not written; write it as numbers'),
        ("items", 'columns: "absent"', 'no column "absent"'),
        ("items", "", 'the table has no column to write beside the key "item_id"'),
    ],
)
def test_materialize_with_a_mistake_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], store: str, extra: str, message: str
) -> None:
    table = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": [1], "added": [datetime.date(2024, 1, 1)]}), table)
    assert run(write_config(tmp_path, extra), table, store) != 0
    assert message in capsys.readouterr().err
