"""Arguments of the Python API: each has a description, and a test of its values."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tzrec
from tzrec import api
from tzrec.run.arguments import _KINDS

PARAMETERS = [
    (name, parameter.name, parameter.annotation.removesuffix(" | None"))
    for name in api.__all__
    if inspect.isfunction(getattr(api, name))
    for parameter in inspect.signature(getattr(api, name)).parameters.values()
]


@pytest.mark.parametrize(("function", "parameter", "annotation"), PARAMETERS, ids=lambda value: value)
def test_every_argument_of_the_api_has_a_kind(function: str, parameter: str, annotation: str) -> None:
    assert annotation in _KINDS, f"{function}({parameter})"


def test_init_takes_kinds_of_columns() -> None:
    rng = np.random.default_rng(1)
    table = {"code": rng.integers(0, 9, 400), "clk": rng.integers(0, 2, 400)}
    result = tzrec.init(table, ["clk"], kinds={"code": "number"})
    assert [feature.WhichOneof("feature") for feature in result.config.feature_configs] == ["raw_feature"]
    with pytest.raises(tzrec.UsageError, match="kinds must be a mapping of names to strings; received"):
        tzrec.init(table, ["clk"], kinds={"code": 1})  # type: ignore[dict-item]
