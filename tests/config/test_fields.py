"""Rules of single fields: bounds, and values that are reported."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, changed_config, field_problems_of
from tzrec.config.check import inspect
from tzrec.config.load import load_source
from tzrec.config.rules.fields import interval, is_within
from tzrec.protos.options_pb2 import FieldRule

HALF_OPEN = FieldRule(min=0, max=1, exclusive_max=True)
POSITIVE = FieldRule(min=0, exclusive_min=True)


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (HALF_OPEN, 0, True),
        (HALF_OPEN, 1, False),
        (HALF_OPEN, math.nan, False),
        (POSITIVE, 0, False),
        (POSITIVE, math.inf, True),
        (POSITIVE, math.nan, False),
        (FieldRule(min=0, max=math.inf, exclusive_max=True), math.inf, False),
        (FieldRule(), math.nan, True),
    ],
)
def test_value_is_within_the_bounds_of_a_rule(rule: FieldRule, value: float, expected: bool) -> None:
    assert is_within(rule, value) is expected


def test_interval_of_a_rule_shows_excluded_bounds() -> None:
    assert [interval(rule) for rule in (HALF_OPEN, POSITIVE, FieldRule())] == ["[0, 1)", "(0, inf)", ""]


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        ("max_minutes: nan", "train_config.max_minutes: nan is not above 0; leave it out for no limit"),
        ("mixed_precision: 'FP8'", 'train_config.mixed_precision: unknown mixed_precision "FP8"; known: BF16, FP16'),
        (
            "tensorboard_summaries: 'gradients'",
            'train_config.tensorboard_summaries[0]: unknown tensorboard_summaries "gradients"; '
            'did you mean "gradient"?',
        ),
        (
            "early_stopping { metric: 'auc_ctr' patience: 0 }",
            "train_config.early_stopping.patience: 0 is below 1",
        ),
    ],
)
def test_value_that_violates_its_rule_is_a_problem(tmp_path: Path, new: str, problem: str) -> None:
    assert field_problems_of(tmp_path, changed_config("num_epochs: 1", f"num_epochs: 1 {new}")) == [problem]


@pytest.mark.parametrize(
    ("new", "warnings"),
    [
        ("save_checkpoints_timestamp_quorum: 0.9", ["train_config.save_checkpoints_timestamp_quorum"]),
        ("save_checkpoints_timestamp_quorum: 0.5", []),
        ("tensorboard_summaries: 'loss'", ["train_config.tensorboard_summaries"]),
        ("tensorboard_summaries: ['parameter', 'gradient_norm']", ["train_config.tensorboard_summaries"]),
        ("is_profiling: true", ["train_config.is_profiling"]),
        ("save_checkpoints_timestamp_interval: 3600", ["train_config.save_checkpoints_timestamp_interval"]),
        ("save_checkpoints_timestamps: [1, 2]", ["train_config.save_checkpoints_timestamps"]),
        ("", []),
    ],
)
def test_field_without_effect_is_a_warning_unless_it_has_its_default(
    tmp_path: Path, new: str, warnings: list[str]
) -> None:
    (tmp_path / "my.config").write_text(MMOE.replace("num_epochs: 1", f"num_epochs: 1 {new}"))
    checker = inspect(load_source(str(tmp_path / "my.config")))
    assert checker.problems == []
    assert [warning.field for warning in checker.warnings] == warnings
    assert all(warning.message.startswith("has no effect: ") for warning in checker.warnings)
