"""Files whose schemas differ are named by a check, and before the first step of training, not when they are reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tzrec
from tests.fixtures.parquet_run import write_config, write_file
from tzrec.errors import ConfigError, DataError

TEXT = [f"u{number}" for number in range(150)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"user": TEXT}, r'day2.parquet: column "user" is string, but int64 in .*day1.parquet'),
        ({"user": [number + 0.5 for number in range(150)]}, r'day2.parquet: column "user" is double, but int64 in'),
        ({"price": None}, r'day2.parquet: no column "price"'),
        ({"clk": None}, r'day2.parquet: no column "clk"'),
    ],
)
def test_schema_of_the_second_day_is_a_problem_before_the_first_step(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    write_file(tmp_path, "day1.parquet")
    write_file(tmp_path, "day2.parquet", **changed)
    config = write_config(tmp_path)
    (problem,) = tzrec.check(config)
    with pytest.raises(DataError, match=message) as caught:
        tzrec.train(config)
    assert problem.message == str(caught.value)
    assert list((tmp_path / "model").glob("model.ckpt-*")) == []


def test_schema_of_the_evaluation_data_is_a_problem_before_the_first_step(tmp_path: Path) -> None:
    write_file(tmp_path, "day1.parquet")
    write_file(tmp_path, "../eval/day2.parquet", price=["cheap"] * 150, clk=None)
    config = write_config(tmp_path, eval=tmp_path / "eval")
    (problem,) = tzrec.check(config)
    assert problem.message.startswith(f'{tmp_path}/eval: no column "clk" in the data')
    with pytest.raises(DataError, match=r'day2.parquet: no column "clk"'):
        tzrec.train(config)
    with pytest.raises(ConfigError, match=r'eval_input_path: no file matches ".*/none"'):
        tzrec.train(config, edit={"eval_input_path": str(tmp_path / "none")})
    assert list((tmp_path / "model").glob("model.ckpt-*")) == []
