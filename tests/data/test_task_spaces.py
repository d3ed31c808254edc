"""Labels that are missing outside of the space of their task."""

from __future__ import annotations

import pyarrow as pa
import pytest
from google.protobuf import text_format

from tzrec.data.task_spaces import TaskSpaces
from tzrec.protos.pipeline_pb2 import EasyRecConfig

SPACE = 'task_space_indicator_label: "clk" out_task_space_weight: 0 metrics_in_task_space: true metrics { auc {} }'


def spaces(*towers: str) -> TaskSpaces:
    """Return the task spaces of towers, given as text, that are named by their number."""
    text = "".join(f'task_towers {{ tower_name: "{i}" {tower} }}' for i, tower in enumerate(towers))
    return TaskSpaces(text_format.Parse(f"model_config {{ mmoe {{ {text} }} }}", EasyRecConfig()))


def filled(task_spaces: TaskSpaces, **columns: pa.Array) -> list[float | None]:
    rows: list[float | None] = task_spaces.fill(pa.RecordBatch.from_pydict(columns)).column("buy").to_pylist()
    return rows


def test_missing_label_is_filled_outside_of_the_space_alone() -> None:
    task_spaces = spaces('label_name: "clk"', f'label_name: "buy" {SPACE}')
    assert filled(task_spaces, clk=pa.array([1, 0, 1, 0, None]), buy=pa.array([None, None, 1, 1, None])) == [
        None,
        0,
        1,
        1,
        None,
    ]
    nan = float("nan")
    assert filled(task_spaces, clk=pa.array([0.0, 0.0]), buy=pa.array([nan, None], pa.float64())) == [0, 0]


@pytest.mark.parametrize(
    "towers",
    [
        ['label_name: "buy"'],
        [f'label_name: "buy" {SPACE}', 'label_name: "buy"'],
        ['label_name: "buy" ' + SPACE.replace("weight: 0", "weight: 0.5")],
        ['label_name: "buy" ' + SPACE.replace("true", "false")],
        ['label_name: "buy" ' + SPACE.replace("clk", "buy")],
    ],
    ids=["no space", "another task reads it", "a weight outside", "metrics outside", "its own space"],
)
def test_missing_label_that_is_read_stays(towers: list[str]) -> None:
    assert filled(spaces(*towers), clk=pa.array([0, 0]), buy=pa.array([None, 1])) == [None, 1]


def test_missing_label_without_metrics_is_filled() -> None:
    tower = 'label_name: "buy" task_space_indicator_label: "clk" out_task_space_weight: 0'
    assert filled(spaces(tower), clk=pa.array([0, 1]), buy=pa.array([None, 1])) == [0, 1]


def test_columns_that_are_no_numbers_stay_as_they_are() -> None:
    task_spaces = spaces(f'label_name: "buy" {SPACE}')
    assert filled(task_spaces, clk=pa.array(["0"]), buy=pa.array([None], pa.int64())) == [None]
    assert filled(task_spaces, buy=pa.array([None], pa.int64())) == [None]
