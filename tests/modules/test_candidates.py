from __future__ import annotations

import torch

from tzrec.modules.candidates import ABSENT, Candidates

USERS, ITEMS = torch.tensor([[0.2], [0.3]]), torch.tensor([[0.2], [0.3], [0.4]])


def test_scores_in_batch_are_those_of_the_test_vector() -> None:
    scores = Candidates(2, is_in_batch=True).scores(USERS, ITEMS)
    torch.testing.assert_close(scores, torch.tensor([[0.04, 0.06, 0.08], [0.06, 0.09, 0.12]]))


def test_scores_of_sampled_items_are_those_of_the_test_vector() -> None:
    scores = Candidates(2, is_in_batch=False).scores(USERS, ITEMS)
    torch.testing.assert_close(scores, torch.tensor([[0.04, 0.08], [0.09, 0.12]]))


def test_shapes_are_those_of_the_test_vectors() -> None:
    users = torch.randn(2, 3)
    assert Candidates(2, False).scores(users, torch.randn(4, 3)).shape == (2, 3)
    hard_index = torch.tensor([[0, 0], [1, 0], [1, 1]])
    assert Candidates(2, False, hard_index).scores(users, torch.randn(7, 3)).shape == (2, 5)


def test_hard_negatives_are_candidates_of_their_queries() -> None:
    hard_index = torch.tensor([[0, 0], [1, 0], [1, 1]])
    users, items = torch.tensor([[1.0], [10.0]]), torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0]])
    scores = Candidates(2, False, hard_index).scores(users, items)
    assert scores.tolist() == [[1.0, 3.0, 4.0, 5.0, ABSENT], [20.0, 30.0, 40.0, 60.0, 70.0]]


def test_equal_positives_are_found_in_each_layout() -> None:
    hard_index = torch.tensor([[1, 0], [1, 1]])
    ids = torch.tensor([5, 6, 5, 6, 6, 9])  # two positives, two sampled items, two hard negatives of query 1
    equal = Candidates(2, False, hard_index).equal_positive(ids)
    assert equal.int().tolist() == [[0, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    in_batch = Candidates(3, True).equal_positive(torch.tensor([5, 6, 5, 6]))
    assert in_batch.int().tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]


def test_values_of_sampled_items_are_spread_over_their_columns() -> None:
    values, hard_index = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), torch.tensor([[0, 0], [1, 0], [1, 1]])
    assert Candidates(2, False, hard_index).spread(values).tolist() == [[0.0, 3.0, 4.0, 0.0, 0.0]]
    assert Candidates(2, True).spread(values).tolist() == [values.tolist()]
