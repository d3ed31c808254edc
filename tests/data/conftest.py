"""Fixture that writes files of numbered rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tests.fixtures.numbered_rows import table

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files with the given numbers of rows; returns their glob."""

    def _write(sizes: Sequence[int], kind: str = "parquet", row_group_size: int = 5) -> str:
        first = 0
        for number, rows in enumerate(sizes):
            path = f"{tmp_path}/part-{number:02d}.{kind}"
            if kind == "parquet":
                pq.write_table(table(rows, first), path, row_group_size=row_group_size)
            else:
                pacsv.write_csv(table(rows, first), path)
            first += rows
        return f"{tmp_path}/part-*.{kind}"

    return _write
