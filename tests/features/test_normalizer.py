from __future__ import annotations

import re

import numpy as np
import pytest

from tzrec.features.normalizer import parse_normalizer


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("method=log10,threshold=1e-10,default=-10", [100, 1e-10, 0, -5], [2, -10, -10, -10]),
        ("method=log10", [1000, 0], [3, -10]),
        ("method=log10,threshold=-1,default=-3", [10, 0, -0.5], [1, -3, -3]),  # no logarithm, whatever the threshold
        ("method=zscore,mean=0.0,standard_deviation=10.0", [5, -20], [0.5, -2]),
        ("method=zscore, mean=1, standard_deviation=2", [5], [2]),
        ("method=minmax,min=2.1,max=2.2", [2.1, 2.15, 2.2, 2.3], [0, 0.5, 1, 2]),
        ("method=expression,expr=sign(x)", [-3, 0, 9], [-1, 0, 1]),
        ("method=expression, expr = (x - 1) * 2", [3], [4]),
    ],
)
def test_normalizers_map_values(text: str, values: list[float], expected: list[float]) -> None:
    assert np.allclose(parse_normalizer(text)(np.array(values)), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method=log", 'unknown method "log"; did you mean "log10"?'),
        ("", 'unknown method ""; known: log10, zscore, minmax, expression'),
        ("method=zscore,mean=1", "zscore needs standard_deviation"),
        ("method=zscore,mean=a,standard_deviation=1", 'zscore: mean is a number, received "a"'),
        ("method=zscore,mean=1,standard_deviation=0", "standard_deviation must not be 0"),
        ("method=minmax,min=1,max=1", "min and max must differ"),
        ("method=minmax,min=1,max=2,mean=3", 'minmax has no parameter "mean"; known: min, max'),
        ("method=expression", "needs expr"),
        ("method=expression,expr=y+1", 'unknown variable "y"'),
    ],
)
def test_invalid_normalizer_is_rejected(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^.*" + re.escape(message)):
        parse_normalizer(text)
