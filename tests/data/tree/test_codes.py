from __future__ import annotations

import numpy as np
import pytest

from tzrec.data.tree import codes


def split_naively(num_leaves: int, n: int) -> list[int]:
    result = [0] * num_leaves

    def split(start: int, stop: int, code: int) -> None:
        if stop - start == 1:
            result[start] = code
            return
        for i in range(n):
            first = start + int(i * (stop - start) / n)
            last = start + int((i + 1) * (stop - start) / n)
            if last > first:
                split(first, last, n * code + n - i)

    split(0, num_leaves, 0)
    return result


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("num_leaves", [1, 2, 3, 4, 9, 10, 27, 28, 243, 244, 1000])
def test_split_codes_equals_recursion_and_respects_depth(num_leaves: int, n: int) -> None:
    result = codes.split_codes(num_leaves, n)
    assert result.tolist() == split_naively(num_leaves, n)
    assert codes.levels_of(result, n).max() <= codes.depth_of(num_leaves, n)


@pytest.mark.parametrize(
    ("level", "n", "code"), [(0, 2, 0), (1, 2, 1), (4, 2, 15), (1, 3, 1), (2, 3, 4), (3, 3, 13), (5, 10, 11111)]
)
def test_first_code_of_level_is_exact(level: int, n: int, code: int) -> None:
    assert codes.first_code(level, n) == code


@pytest.mark.parametrize(
    ("num_leaves", "n", "depth"),
    [(1, 2, 1), (2, 2, 1), (3, 2, 2), (8, 2, 3), (9, 2, 4), (243, 3, 5), (244, 3, 6), (10**15, 10, 15)],
)
def test_depth_of_exact_powers_has_no_level_too_many(num_leaves: int, n: int, depth: int) -> None:
    assert codes.depth_of(num_leaves, n) == depth


@pytest.mark.parametrize("n", [2, 3, 7])
def test_levels_and_parents_follow_children_formula(n: int) -> None:
    parents = np.arange(50)
    levels = codes.levels_of(parents, n)
    for child in range(1, n + 1):
        children = n * parents + child
        assert codes.parents_of(children, n).tolist() == parents.tolist()
        assert codes.levels_of(children, n).tolist() == (levels + 1).tolist()


def test_lower_to_moves_leaves_to_first_children() -> None:
    assert codes.lower_to(np.array([1, 2, 5, 9]), 3, 2).tolist() == [7, 11, 11, 9]
    assert codes.lower_to(np.array([1, 2]), 2, 3).tolist() == [4, 7]
