"""Properties of every model.

The test of a single-task model defines SMOOTH, a small model without kinks on the widths SMALL, LEARNER on WIDTHS, and
usually CASES with a reference `naive`. Tests of multi-task models call tests/fixtures/multi_task.py themselves.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.fixtures import single_task
from tzrec import registry
from tzrec.protos.model_pb2 import ModelConfig

FOLDER = Path(__file__).parent
FIELDS = ModelConfig.DESCRIPTOR.oneofs_by_name["model"].fields
NAMES = [field.name for field in FIELDS if registry.is_implemented(field)]
SINGLE = [name for name in NAMES if "\nLEARNER = " in (FOLDER / f"test_{name}.py").read_text()]
GRADIENT_CHECKS = ("assert_gradients_correct(", "gradcheck(")


def module_of(name: str) -> ModuleType:
    return importlib.import_module(f"tests.models.test_{name}")


def cases() -> list[Any]:
    """Cases of all single-task models that have a reference of their own."""
    return [
        pytest.param(module.naive, *case.values, id=f"{name}-{case.id}")
        for name, module in ((name, module_of(name)) for name in SINGLE)
        for case in getattr(module, "CASES", ())
    ]


@pytest.fixture(params=SINGLE)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return module_of(request.param)


@pytest.mark.parametrize("name", NAMES)
def test_model_has_a_reference_and_a_gradient_check(name: str) -> None:
    text = (FOLDER / f"test_{name}.py").read_text()
    assert "naive" in text
    assert name in SINGLE or any(check in text for check in GRADIENT_CHECKS)


@pytest.mark.parametrize(("naive", "model", "widths", "num_class"), cases())
@pytest.mark.parametrize("num_rows", [1, 9])
def test_logits_equal_the_reference(
    naive: Any, model: str, widths: single_task.Widths, num_class: int, num_rows: int
) -> None:
    single_task.assert_equals_reference(naive, model, widths, num_class, num_rows)


def test_gradients_equal_finite_differences(module: ModuleType) -> None:
    single_task.assert_gradients_correct(single_task.build(module.SMOOTH, module.SMALL), module.SMALL)


def test_training_overfits_a_batch(module: ModuleType) -> None:
    single_task.assert_overfits(single_task.build(module.LEARNER, module.WIDTHS), module.WIDTHS)


def test_half_precision_stays_near_float32(module: ModuleType) -> None:
    single_task.assert_half_precision(single_task.build(module.LEARNER, module.WIDTHS), module.WIDTHS)


def test_exported_program_equals_the_model(module: ModuleType) -> None:
    single_task.assert_exports(single_task.build(module.LEARNER, module.WIDTHS), module.WIDTHS)
