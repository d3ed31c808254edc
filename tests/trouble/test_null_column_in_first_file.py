"""A column of nulls has the type of the other files, in a check, in training and where a config is proposed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import tzrec
from tests.fixtures.parquet_run import write_config, write_file


@pytest.mark.parametrize("values", [list(range(150)), [0.5] * 150, [[1, 2]] * 150, ["a"] * 150])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_files_with_a_column_of_nulls_are_trained(tmp_path: Path, values: list[Any], order: str) -> None:
    name = "price" if values[0] == 0.5 else "item"
    write_file(tmp_path, f"{order[0]}.parquet", **{name: pa.nulls(150)})
    write_file(tmp_path, f"{order[1]}.parquet", **{name: values})
    config = write_config(tmp_path)
    assert tzrec.check(config) == []
    assert tzrec.train(config).step == 4  # 300 rows in batches of 64
    result = tzrec.init(str(tmp_path / "data"), ["clk"], tmp_path / "first.config")
    kinds = {stats.name: stats.kind for stats in result.columns}
    assert kinds[name] == pa.array(values).type
