"""Labels that are lists: read as numbers where each has one, else an error that names column, width and loss."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import tzrec
from tests.fixtures.click_files import write_labels
from tzrec.errors import DataError
from tzrec.profile.init import init
from tzrec.profile.initial_config import base_config
from tzrec.run.check import check

PROBLEM = 'label column "clk" holds lists of 2 numbers; binary_cross_entropy takes one number'


def test_lists_of_two_labels_are_a_problem_of_check_and_stop_training(tmp_path: Path) -> None:
    config = write_labels(tmp_path, pa.array([[row % 2, 1 - row % 2] for row in range(200)]))
    (problem,) = check(config).problems
    assert problem.field == "data_config.label_fields[0]"
    assert problem.message.startswith(PROBLEM)
    with pytest.raises(DataError, match=PROBLEM):
        tzrec.train(config)


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.list_(pa.int64(), 1), pa.large_list(pa.float64())])
def test_lists_of_one_label_train_as_numbers_do(tmp_path: Path, kind: pa.DataType) -> None:
    numbers = [row % 2 for row in range(200)]
    plain = tzrec.train(write_labels(tmp_path, pa.array(numbers)))
    lists = tzrec.train(
        write_labels(tmp_path, pa.array([[number] for number in numbers], kind)), model_dir=tmp_path / "lists"
    )
    assert lists.metrics == plain.metrics


def test_init_on_lists_of_two_labels_is_an_error(tmp_path: Path) -> None:
    write_labels(tmp_path, pa.array([[row % 2, 1 - row % 2] for row in range(200)]))
    with pytest.raises(DataError, match='label column "clk" holds lists of 2 numbers; a label is one number'):
        init(base_config(str(tmp_path / "t.parquet"), "", str(tmp_path / "m"), ["clk"]))
