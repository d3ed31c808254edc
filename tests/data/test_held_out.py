"""Rows that eval_split holds out: training reads all other rows, and the evaluation exactly these."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.data.conftest import Write
from tests.fixtures.numbered_rows import make_config, open_loader
from tzrec.data.batch import BASE
from tzrec.data.held_out import HeldOutRows
from tzrec.data.loader import Mode
from tzrec.errors import DataError
from tzrec.protos.data_pb2 import EvalSplit


def rows_of(path: str, split: str, mode: Mode, **settings: Any) -> list[int]:
    """Numbers of the rows that count, in order."""
    loader = open_loader(make_config(f"batch_size: 4 eval_split {{ {split} }}"), path, mode=mode, **settings)
    return [row for batch in loader.epoch() for row in batch.sparse[BASE].values()[: batch.rows].tolist()]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_training_and_evaluation_divide_the_rows(write: Write, world: int) -> None:
    path = write([230, 70, 1, 99])
    by_mode = {
        mode: list(
            itertools.chain(*(rows_of(path, "fraction: 0.3", mode, rank=r, world_size=world) for r in range(world)))
        )
        for mode in ("train", "held_out")
    }
    assert sorted(by_mode["train"] + by_mode["held_out"]) == list(range(400))
    assert sorted(by_mode["held_out"]) == sorted(rows_of(path, "fraction: 0.3", "held_out"))  # on any number of ranks
    assert 90 <= len(by_mode["held_out"]) <= 150  # 120 are expected, with a deviation of 9


def test_other_files_are_evaluated_whole(write: Write) -> None:
    assert sorted(rows_of(write([20]), "fraction: 0.5", "eval")) == list(range(20))


@pytest.mark.parametrize(
    ("column", "bound", "expected"),
    [
        (pa.array([3, 20, None, 100]), "20", [False, True, False, True]),
        (pa.array(["2024-01-31", "2024-02-01", None, "2024-11-01"]), "2024-02-01", [False, True, False, True]),
        (pa.array([0, 86_400_000, None, 86_399_999], pa.timestamp("ms")), "1970-01-02", [False, True, False, False]),
        (pa.array(["b", "a"]).dictionary_encode(), "b", [True, False]),
    ],
    ids=["numbers", "text", "times", "dictionary"],
)
def test_rows_from_a_value_on_are_held_out(column: pa.Array, bound: str, expected: list[bool]) -> None:
    rows = HeldOutRows(EvalSplit(**{"column": "day", "from": bound}))
    mask = rows.mask(pa.RecordBatch.from_pydict({"day": column}), np.arange(len(column)))
    assert mask.tolist() == expected


def test_value_of_another_type_is_an_error_that_names_the_field() -> None:
    rows = HeldOutRows(EvalSplit(**{"column": "day", "from": "monday"}))
    with pytest.raises(
        DataError, match=r'eval_split.from: \'monday\' cannot be compared with the column "day", which is'
    ):
        rows.mask(pa.RecordBatch.from_pydict({"day": pa.array([1, 2])}), np.arange(2))
