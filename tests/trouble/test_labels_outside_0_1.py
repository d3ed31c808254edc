"""Labels that a loss does not take are bad rows, in training, in a check, and named when a config is proposed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tzrec
from tests.fixtures.click_files import write_labels
from tzrec.errors import DataError
from tzrec.profile.init import init
from tzrec.profile.initial_config import base_config
from tzrec.run.check import check

REASON = "not a number from 0 to 1, as binary_cross_entropy needs"


@pytest.mark.parametrize(("clicked", "other"), [(1, -1), (100, 0), (5.0, 1.0)])
def test_labels_outside_0_1_are_problems_of_check_and_stop_training(
    tmp_path: Path, clicked: float, other: float
) -> None:
    config = write_labels(tmp_path, np.where(np.arange(300) % 3 == 1, clicked, other))
    with pytest.raises(DataError, match=rf't.parquet.*: column "clk" has .*: {REASON}'):
        tzrec.train(config)
    (problem,) = check(config).problems
    assert problem.field == "data_config.label_fields[0]"
    least, most = sorted((int(clicked), int(other)))
    assert problem.message.startswith('"clk" must be a number from 0 to 1 for binary_cross_entropy, and ')
    assert problem.message.endswith(f"; write 0 and 1 in place of {least} and {most}")


def test_labels_outside_0_1_are_left_out_under_the_default_policy(tmp_path: Path) -> None:
    labels = np.arange(300) % 2
    labels[[10, 200]] = 7, -1
    run = tzrec.train(write_labels(tmp_path, labels, "bad_row_policy: DEFAULT"))
    assert 0 < run.metrics["binary_cross_entropy"] < 2
    sample = (run.model_dir / "bad_rows.jsonl").read_text()
    assert sample.count(REASON) == 2
    assert '"row": 11' in sample and '"value": "7"' in sample


def test_classes_of_softmax_outside_num_class_are_bad_rows(tmp_path: Path) -> None:
    labels = np.arange(300) % 3
    labels[7] = 3
    softmax = {"model_config.losses[0]": "softmax_cross_entropy {}", "model_config.metrics[0]": "accuracy {}"}
    edits = {**softmax, "model_config.num_class": 3}
    config = write_labels(tmp_path, labels)
    with pytest.raises(DataError, match=r"row 8: column \"clk\" has '3': not a class from 0 to 2"):
        tzrec.train(config, edit=edits)


@pytest.mark.parametrize(("clicked", "other"), [(1, -1), (2, 1), (100, 0)])
def test_init_says_that_two_values_look_like_classes(tmp_path: Path, clicked: int, other: int) -> None:
    write_labels(tmp_path, np.where(np.arange(300) % 3 == 1, clicked, other))
    result = init(base_config(str(tmp_path / "t.parquet"), "", str(tmp_path / "m"), ["clk"]))
    expected = f'label "clk" has only the values {other} and {clicked}, which look like two classes'
    assert any(note.startswith(expected) for note in result.notes), result.notes
