"""Splitting and concatenating columns, compared with values by hand."""

from __future__ import annotations

import torch

from tzrec.embedding.regroup import plan_groups, regroup

SPARSE = (["a", "b", "c"], [2, 1, 2])
DENSE = (["x"], [1])


def columns() -> list[torch.Tensor]:
    """Columns 0..4 hold a a b c c, column 5 holds x."""
    return [torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]]), torch.tensor([[5.0]])]


def test_regroup_orders_columns_as_listed() -> None:
    plan = plan_groups([SPARSE, DENSE], {"g": ["c", "x", "a"], "h": ["b"]})
    grouped = regroup(columns(), plan)
    assert grouped["g"].tolist() == [[3, 4, 5, 0, 1]]
    assert grouped["h"].tolist() == [[2]]


def test_group_equal_to_source_is_not_copied() -> None:
    values = columns()
    grouped = regroup(values, plan_groups([SPARSE, DENSE], {"g": ["a", "b", "c"]}))
    assert grouped["g"] is values[0]


def test_columns_adjacent_in_all_groups_are_not_split() -> None:
    assert plan_groups([SPARSE], {"g": ["a", "b", "c"], "h": ["b", "c"]}).split_sizes == ((2, 3),)
    assert plan_groups([SPARSE], {"g": ["b", "a"], "h": ["c"]}).split_sizes == ((2, 1, 2),)


def test_columns_of_no_group_are_dropped() -> None:
    assert regroup(columns(), plan_groups([SPARSE, DENSE], {"g": ["b"]}))["g"].tolist() == [[2]]


def test_gradients_of_column_in_two_groups_add_up() -> None:
    """b is in both groups, x in none."""
    sparse, dense = (value.requires_grad_() for value in columns())
    grouped = regroup([sparse, dense], plan_groups([SPARSE, DENSE], {"g": ["c", "b"], "h": ["b"]}))
    (grouped["g"].sum() + 10 * grouped["h"].sum()).backward()
    assert sparse.grad is not None
    assert sparse.grad.tolist() == [[0, 0, 11, 1, 1]]
