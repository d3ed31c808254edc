"""Rules about what weighs losses: one thing wrong yields one problem, at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tzrec.config.check import check
from tzrec.config.load import load_source

MMOE = Path(__file__).with_name("mmoe.config").read_text()
MODEL, FIRST, SECOND = "model_config {", 'tower_name: "ctr"', 'tower_name: "cvr"'
PARETO = "use_pareto_loss_weight: true"
LOSS = "binary_cross_entropy {"


def found(tmp_path: Path, *pairs: str) -> list[str]:
    text = MMOE
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, f"{new} {old}" if new.endswith(";") else f"{old} {new}", 1)
    (tmp_path / "my.config").write_text(text.replace(";", ""))
    return [str(problem) for problem in check(load_source(str(tmp_path / "my.config")))]


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
def test_good_configs_have_no_problems(tmp_path: Path, pairs: tuple[str, ...]) -> None:
    assert found(tmp_path, *pairs) == []


CASES = [
    ((MODEL, "use_pareto_loss_weight: true uncertainty_weighting: true"), "weight is set as well; choose one"),
    (
        (FIRST, "pareto_min_loss_weight: 0.5", SECOND, "pareto_min_loss_weight: 0.5"),
        "task_towers[1].pareto_min_loss_weight: all of them together are 1; the weights add up to 1",
    ),
    ((FIRST, "pareto_min_loss_weight: -1"), "task_towers[0].pareto_min_loss_weight: -1 is not in [0, inf)"),
    ((MODEL, "l2_reg_embedding: -1"), "model_config.l2_reg_embedding: -1 is not in [0, inf)"),
    ((MODEL, "l1_reg_embedding: inf"), "model_config.l1_reg_embedding: inf is not in [0, inf)"),
    ((MODEL, "l2_reg_dnn: nan"), "model_config.l2_reg_dnn: nan is not in [0, inf)"),
    ((MODEL, "l1_reg_dnn: -2"), "model_config.l1_reg_dnn: -2 is not in [0, inf)"),
    ((LOSS, "weight: -0.5;"), "task_towers[0].losses[0].weight: -0.5 is not in [0, inf)"),
]


@pytest.mark.parametrize(("pairs", "problem"), CASES, ids=[pairs[1] for pairs, _ in CASES])
def test_one_thing_wrong(tmp_path: Path, pairs: tuple[str, ...], problem: str) -> None:
    (one,) = found(tmp_path, *pairs)
    assert problem in one


@pytest.mark.parametrize("field", ["use_pareto_loss_weight", "uncertainty_weighting"])
def test_one_task_has_nothing_to_be_weighed_against(tmp_path: Path, field: str) -> None:
    start = MMOE.index("    mmoe {")
    model = "losses { binary_cross_entropy {} } multi_tower { towers { input: 'all' } final { hidden_units: 4 } }"
    text = f"{MMOE[:start]}{field}: true {model} }}"
    (tmp_path / "my.config").write_text(text)
    (one,) = [str(problem) for problem in check(load_source(str(tmp_path / "my.config")))]
    assert f"model_config.{field}: weighs tasks against each other; the model needs two task towers" in one
