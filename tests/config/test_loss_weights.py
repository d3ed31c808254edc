"""Rules of loss weights: a valid config with one invalid value has one problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, problems_of

MODEL, FIRST, SECOND = "model_config {", 'tower_name: "ctr"', 'tower_name: "cvr"'
LOSS = "binary_cross_entropy {"


def problems_with(tmp_path: Path, *pairs: str) -> list[str]:
    text = MMOE
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, f"{new} {old}" if new.endswith(";") else f"{old} {new}", 1)
    return problems_of(tmp_path, text.replace(";", ""))


GOOD = [
    (
        MODEL,
        "use_pareto_loss_weight: true",
        FIRST,
        "pareto_min_loss_weight: 0.5",
        SECOND,
        "pareto_min_loss_weight: 0.4",
    ),
    (MODEL, "uncertainty_weighting: true"),
    (MODEL, "l2_reg_embedding: 1e-5 l1_reg_embedding: 1 l2_reg_dnn: 0 l1_reg_dnn: 1e-6"),
    (LOSS, "weight: 0.5;"),
]


@pytest.mark.parametrize("pairs", GOOD, ids=lambda pairs: pairs[1])
def test_valid_loss_weights_have_no_problems(tmp_path: Path, pairs: tuple[str, ...]) -> None:
    assert problems_with(tmp_path, *pairs) == []


CASES = [
    ((MODEL, "use_pareto_loss_weight: true uncertainty_weighting: true"), "weight is set as well; choose one"),
    (
        (FIRST, "pareto_min_loss_weight: 0.5", SECOND, "pareto_min_loss_weight: 0.5"),
        "task_towers[1].pareto_min_loss_weight: the sum over all towers is 1; it must be below 1",
    ),
    ((FIRST, "pareto_min_loss_weight: -1"), "task_towers[0].pareto_min_loss_weight: -1 is not in [0, inf)"),
    ((MODEL, "l2_reg_embedding: -1"), "model_config.l2_reg_embedding: -1 is not in [0, inf)"),
    ((MODEL, "l1_reg_embedding: inf"), "model_config.l1_reg_embedding: inf is not in [0, inf)"),
    ((MODEL, "l2_reg_dnn: nan"), "model_config.l2_reg_dnn: nan is not in [0, inf)"),
    ((MODEL, "l1_reg_dnn: -2"), "model_config.l1_reg_dnn: -2 is not in [0, inf)"),
    ((LOSS, "weight: -0.5;"), "task_towers[0].losses[0].weight: -0.5 is not in [0, inf)"),
]


@pytest.mark.parametrize(("pairs", "problem"), CASES, ids=[pairs[1] for pairs, _ in CASES])
def test_invalid_loss_weight_is_one_problem(tmp_path: Path, pairs: tuple[str, ...], problem: str) -> None:
    (line,) = problems_with(tmp_path, *pairs)
    assert problem in line


@pytest.mark.parametrize("field", ["use_pareto_loss_weight", "uncertainty_weighting"])
def test_adaptive_weights_of_a_single_task_are_a_problem(tmp_path: Path, field: str) -> None:
    start = MMOE.index("    mmoe {")
    model = "losses { binary_cross_entropy {} } multi_tower { towers { input: 'all' } final { hidden_units: 4 } }"
    text = f"{MMOE[:start]}{field}: true {model} }}"
    (line,) = problems_of(tmp_path, text)
    assert f"model_config.{field}: weighs tasks against each other; the model needs two task towers" in line
