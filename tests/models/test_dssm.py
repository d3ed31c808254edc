from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures import match_models, reference
from tests.fixtures.match_models import LAYOUTS, Widths

WIDTHS = Widths({"user": [4, 2], "item": [3, 2], "other": [2]})
TEXT = (
    'dssm {{ user_tower {{ input: "user" mlp {{ hidden_units: [8, 5] }} }} item_tower {{ input: "item" {mlp} }} '
    "output_dim: {dim} similarity: {similarity} temperature: 0.5 in_batch_negative: {in_batch} {more} }}"
)
MLP = "mlp { hidden_units: 5 }"
SMOOTH = (
    'dssm { user_tower { input: "user" mlp { hidden_units: 2 activation: "nn.Tanh" } } item_tower { input: "item" } '
    "output_dim: 2 similarity: COSINE temperature: 0.5 in_batch_negative: %s %s }"
)
OVERFITTED = TEXT.format(dim=16, similarity="INNER_PRODUCT", in_batch="true", mlp="mlp { hidden_units: 32 }", more="")


def text_of(layout: str, dim: int = 3, similarity: str = "COSINE", mlp: str = MLP, more: str = "") -> str:
    return TEXT.format(dim=dim, similarity=similarity, in_batch=str(LAYOUTS[layout][0]).lower(), mlp=mlp, more=more)


def naive(w: reference.Weights, rows: torch.Tensor, tower: str, similarity: str) -> list[np.ndarray]:
    """Vectors of a tower, row by row."""
    vectors = []
    for x in rows.detach().double().numpy():
        x = reference.relu_layers(w, f"{tower}.mlp", x)
        x = reference.linear(w, f"{tower}.output", x) if f"{tower}.output.weight" in w else x
        vectors.append(x / max(np.sqrt(sum(v * v for v in x)), 1e-12) if similarity == "COSINE" else x)
    return vectors


@pytest.mark.parametrize("similarity", ["COSINE", "INNER_PRODUCT", "EUCLID"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_equal_the_reference(layout: str, similarity: str) -> None:
    """EUCLID is the inner product."""
    model = match_models.build(text_of(layout, similarity=similarity), WIDTHS)
    grouped = match_models.random_groups(model, WIDTHS, 5, LAYOUTS[layout][1] + len(LAYOUTS[layout][2]))
    w = reference.weights(model)
    users, items = (naive(w, grouped[side], f"{side}_tower", similarity) for side in ("user", "item"))
    expected = match_models.naive_scores(users, items, layout, 0.5)
    match_models.assert_scores_equal(model, grouped, layout, expected)


@pytest.mark.parametrize(("dim", "mlp"), [(0, MLP), (-1, MLP), (5, "")])
def test_layers_of_a_tower_are_optional(dim: int, mlp: str) -> None:
    model = match_models.build(text_of("in_batch", dim, mlp=mlp), WIDTHS)
    grouped = match_models.random_groups(model, WIDTHS, 3)
    w = reference.weights(model)
    assert ("item_tower.output.weight" in w) == (dim > 0)
    users, items = (naive(w, grouped[side], f"{side}_tower", "COSINE") for side in ("user", "item"))
    match_models.assert_scores_equal(
        model, grouped, "in_batch", match_models.naive_scores(users, items, "in_batch", 0.5)
    )


@pytest.mark.parametrize("layout", ["in_batch", "hard"])
def test_gradients_equal_finite_differences(layout: str) -> None:
    text = SMOOTH % (str(LAYOUTS[layout][0]).lower(), "candidate_correction { correct_sampled: true }")
    match_models.assert_gradients_correct(text, Widths({"user": [2], "item": [2]}), layout)  # gradcheck(...)


def test_training_overfits_a_batch() -> None:
    match_models.assert_overfits(OVERFITTED, WIDTHS)


def test_half_precision_stays_near_float32() -> None:
    match_models.assert_half_precision(text_of("sampled"), WIDTHS)


def test_exported_parts_equal_the_towers() -> None:
    match_models.assert_parts_export(text_of("in_batch"), WIDTHS)


def test_padded_rows_of_users_are_not_computed() -> None:
    """With force_base_data_group the groups of the user have rows of negatives too."""
    model = match_models.build(text_of("sampled"), WIDTHS)
    batch = match_models.make_batch(3, "sampled")
    grouped = match_models.random_groups(model, WIDTHS, 3, 4)
    padded = grouped | {"user": torch.cat([grouped["user"], torch.full((4, 6), float("nan"))])}
    assert torch.equal(match_models.logits_of(model, padded, batch), match_models.logits_of(model, grouped, batch))


def test_masked_positive_items_are_no_candidates() -> None:
    """The second sampled item is the item of query 0."""
    correction = "candidate_correction { mask_positive_items: true }"
    model = match_models.build(text_of("sampled", more=correction), WIDTHS)
    plain = match_models.build(text_of("sampled"), WIDTHS)
    plain.load_state_dict(model.state_dict())
    batch = match_models.make_batch(3, "sampled")
    grouped = match_models.random_groups(model, WIDTHS, 3, 4)
    masked, scores = (match_models.logits_of(m, grouped, batch) for m in (model, plain))
    expected = scores.clone()
    expected[0, 2] = torch.finfo(torch.float32).min
    assert torch.equal(masked, expected)


def test_masked_items_of_a_batch_are_equal_positives() -> None:
    correction = "candidate_correction { mask_positive_items: true }"
    model = match_models.build(text_of("mixed", more=correction), WIDTHS)
    batch = match_models.make_batch(3, "mixed")
    assert batch.negatives is not None
    batch.negatives.positive_ids[:] = torch.tensor([7, 8, 7])
    logits = match_models.logits_of(model, match_models.random_groups(model, WIDTHS, 3, 4), batch)
    assert (logits == torch.finfo(torch.float32).min).nonzero().tolist() == [[0, 2], [2, 0]]


def test_sampled_scores_are_corrected_in_training_only() -> None:
    correction = "candidate_correction { correct_sampled: true }"
    model = match_models.build(text_of("hard", more=correction), WIDTHS)
    batch = match_models.make_batch(3, "hard")
    output = model.score(model(match_models.random_groups(model, WIDTHS, 3, 6)), batch)
    difference = output.logits[""] - output.loss_logits[""]
    expected = [0.0, *(np.log(3 * (k + 1) / 50) for k in range(3)), 0.0]  # log(num_sampled * probability)
    torch.testing.assert_close(difference[0, :5], torch.tensor(expected, dtype=torch.float32), rtol=0, atol=1e-6)
    model.eval()
    assert model.score(model(match_models.random_groups(model, WIDTHS, 3, 6)), batch).loss_logits == {}
