from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tzrec.features.encoders.combined import COMBINERS, combine

NAIVE: dict[str, Any] = {"sum": sum, "min": min, "max": max, "count": len}


@settings(max_examples=60, deadline=None)
@given(
    data=st.lists(st.lists(st.tuples(st.integers(-99, 99), st.integers(-9, 9)), max_size=4), max_size=6),
    combiner=st.sampled_from(COMBINERS),
)
def test_combine_equals_builtin_functions(data: list[list[tuple[int, int]]], combiner: str) -> None:
    values = np.array([pair for row in data for pair in row], np.float64).reshape(-1, 2)
    combined = combine(combiner, values, np.array([len(row) for row in data], np.int32))
    naive = NAIVE.get(combiner, lambda numbers: sum(numbers) / len(numbers))
    expected = [[naive([pair[i] for pair in row]) for i in range(2)] for row in data if row]
    np.testing.assert_allclose(combined, np.reshape(expected, (-1, 2)), rtol=1e-12)
