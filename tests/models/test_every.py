"""What every model must do, asked of all of them.

A model with one task names in its own test two of its kind: SMOOTH, small and without kinks, on SMALL, and LEARNER on
WIDTHS. Models of other kinds ask in their own tests, with what multi_task.py has.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from tests.models import single
from tzrec import registry
from tzrec.protos.model_pb2 import ModelConfig

HERE = Path(__file__).parent
FIELDS = ModelConfig.DESCRIPTOR.oneofs_by_name["model"].fields
NAMES = [field.name for field in FIELDS if registry.is_implemented(field, "tzrec.models")]
SINGLE = [name for name in NAMES if "\nLEARNER = " in (HERE / f"test_{name}.py").read_text()]
ASKED = ("check_gradients(", "gradcheck(")


@pytest.fixture(params=SINGLE)
def case(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"tests.models.test_{request.param}")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_asked_for_its_formula_and_its_gradients(name: str) -> None:
    text = (HERE / f"test_{name}.py").read_text()
    assert "naive" in text
    assert name in SINGLE or any(each in text for each in ASKED)


def test_gradients_equal_finite_differences(case: ModuleType) -> None:
    single.gradients_are_right(single.build(case.SMOOTH, case.SMALL), case.SMALL)


def test_learns_by_heart(case: ModuleType) -> None:
    single.learns_by_heart(single.build(case.LEARNER, case.WIDTHS), case.WIDTHS)


def test_half_precision(case: ModuleType) -> None:
    single.survives_half_precision(single.build(case.LEARNER, case.WIDTHS), case.WIDTHS)


def test_can_be_exported(case: ModuleType) -> None:
    single.exports(single.build(case.LEARNER, case.WIDTHS), case.WIDTHS)
