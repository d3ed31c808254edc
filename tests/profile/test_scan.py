from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.numbered_rows import make_config
from tzrec.data.reader import PIECE_ROWS, open_reader
from tzrec.errors import DataError
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.scan import scan


@pytest.mark.parametrize("threads", [1, 3])
def test_scan_reads_every_row_once(tmp_path: Path, threads: int) -> None:
    rows = 2 * PIECE_ROWS + 5
    words = np.char.add("w", (np.arange(rows) % 7).astype(str))
    for part in range(2):
        pq.write_table(pa.table({"a": np.arange(rows) + part * rows, "b": words}), tmp_path / f"{part}.parquet")
    reader = open_reader(make_config().data_config, f"{tmp_path}/*.parquet", ["a", "b"])
    num_rows, (a, b) = scan(reader, lambda: [ColumnStats("a"), ColumnStats("b")], threads, "init")
    assert (num_rows, a.rows, b.rows) == (2 * rows, 2 * rows, 2 * rows)
    assert (a.moments.least, a.moments.most) == (0, 2 * rows - 1)
    assert a.moments.mean == pytest.approx(rows - 0.5)
    assert sum(item.at_least for item in b.top(7)) == 2 * rows and b.is_exact
    _, again = scan(reader, lambda: [ColumnStats("a"), ColumnStats("b")], threads, "init")
    assert again[0].quantiles([0.1, 0.5]) == a.quantiles([0.1, 0.5])


def test_scan_raises_errors_of_its_threads(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [{"x": 1}]}), tmp_path / "a.parquet")
    reader = open_reader(make_config().data_config, f"{tmp_path}/*.parquet", ["a"])
    with pytest.raises(DataError, match='column "a" has type struct'):
        scan(reader, lambda: [ColumnStats("a")], 2, "init")
