from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.fixtures import match_models, reference
from tests.fixtures.match_models import LAYOUTS, Widths
from tests.models import test_dssm as dssm
from tests.modules.test_capsules import naive_capsules

WIDTHS = Widths({"user": [4, 2], "item": [3, 2]}, {"clicks": 3})
TEXT = (
    'mind {{ user_tower {{ input: "user" history_input: "clicks" user_mlp {{ hidden_units: [5, 4] {more} }} {history} '
    "capsule_config {{ max_k: 3 max_seq_len: 4 high_dim: 4 routing: {routing} {capsules} }} "
    'concat_mlp {{ hidden_units: [6] {more} }} }} item_tower {{ input: "item" mlp {{ hidden_units: 5 {more} }} }} '
    "output_dim: {dim} similarity: {similarity} simi_pow: 2 temperature: 0.5 in_batch_negative: {in_batch} }}"
)
HISTORY = "hist_seq_mlp { hidden_units: [5, 4] }"


def text_of(
    layout: str,
    routing: str = "COUPLING",
    history: str = HISTORY,
    similarity: str = "COSINE",
    more: str = "",
    capsules: str = "",
    dim: int = 3,
) -> str:
    in_batch = str(LAYOUTS[layout][0]).lower()
    return TEXT.format(
        in_batch=in_batch,
        routing=routing,
        history=history,
        similarity=similarity,
        more=more,
        capsules=capsules,
        dim=dim,
    )


def naive_interests(
    w: reference.Weights, grouped: match_models.Grouped, row: int, routing: str, similarity: str = "COSINE"
) -> list[np.ndarray]:
    """Interests of a row, without those that it does not have."""
    length = min(int(grouped["clicks.sequence_length"][row]), 4)
    elements = [grouped["clicks.sequence"][row, t].double().numpy() for t in range(length)]
    if "user_tower.history_mlp.linear.weight" in w:
        elements = [reference.relu_layers(w, "user_tower.history_mlp.mlp", x) for x in elements]
        elements = [w["user_tower.history_mlp.linear.weight"] @ x for x in elements]
    x = grouped["user"][row].double().numpy()
    profile = reference.linear(w, "user_tower.user_mlp.linear", reference.relu_layers(w, "user_tower.user_mlp.mlp", x))
    prefix = "user_tower.capsules"
    capsules = naive_capsules(elements, w[f"{prefix}.bilinear"], w[f"{prefix}.initial_logits"], routing)
    interests = []
    for capsule in capsules:
        x = reference.relu_layers(w, "user_tower.concat_mlp", np.concatenate([capsule, profile]))
        x = w["user_tower.output.weight"] @ x
        interests.append(x / max(np.sqrt(x @ x), 1e-12) if similarity == "COSINE" else x)
    return interests


def naive(
    w: reference.Weights, grouped: match_models.Grouped, num_queries: int, routing: str, similarity: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Vectors of the users after attention by the item of their row, and vectors of the items."""
    items = dssm.naive(w, grouped["item"], "item_tower", similarity)
    users = []
    for row in range(num_queries):
        interests = naive_interests(w, grouped, row, routing, similarity)
        shares = [math.exp(2 * float(interest @ items[row])) for interest in interests]
        users.append(sum(share / sum(shares) * x for share, x in zip(shares, interests, strict=True)))
    return users, items


@pytest.mark.parametrize(
    ("layout", "routing", "history", "similarity"),
    [
        ("in_batch", "COUPLING", HISTORY, "COSINE"),
        ("in_batch", "ACCUMULATED", "hist_seq_mlp { hidden_units: 5 }", "INNER_PRODUCT"),
        ("sampled", "COUPLING", "", "INNER_PRODUCT"),
        ("hard", "ACCUMULATED", "", "COSINE"),
        ("mixed_hard", "COUPLING", HISTORY, "COSINE"),
    ],
)
def test_scores_equal_the_reference(layout: str, routing: str, history: str, similarity: str) -> None:
    """Rows have 0 to 4 elements, and the elements after the fourth do not count."""
    model = match_models.build(text_of(layout, routing, history, similarity), WIDTHS)
    grouped = match_models.random_groups(model, WIDTHS, 7, LAYOUTS[layout][1] + len(LAYOUTS[layout][2]))
    grouped["clicks.sequence"] = torch.randn(7, 6, 3)
    grouped["clicks.sequence_length"] = torch.tensor([0, 1, 2, 3, 4, 5, 6])
    users, items = naive(reference.weights(model), grouped, 7, routing, similarity)
    match_models.assert_scores_equal(model, grouped, layout, match_models.naive_scores(users, items, layout, 0.5))


def test_exported_interests_are_zero_where_a_row_has_none() -> None:
    model = match_models.build(text_of("in_batch"), WIDTHS).eval()
    grouped = match_models.random_groups(model, WIDTHS, 5)
    (interests,) = model.user_vectors(grouped).values()
    assert interests.shape == (5, 3, 3)
    counts = [1, 1, 1, 2, 2]  # of 0, 1, 2, 3 and 4 elements
    w = reference.weights(model)
    for row, count in enumerate(counts):
        expected = np.array(naive_interests(w, grouped, row, "COUPLING"))
        assert len(expected) == count
        np.testing.assert_allclose(interests[row, :count].detach().numpy(), expected, atol=1e-5)
        assert not interests[row, count:].any()


def test_evaluation_is_deterministic() -> None:
    model = match_models.build(text_of("in_batch"), WIDTHS).eval()
    grouped, batch = match_models.random_groups(model, WIDTHS, 5), match_models.make_batch(5, "in_batch")
    first = match_models.logits_of(model, grouped, batch)
    torch.manual_seed(99)
    assert torch.equal(match_models.logits_of(model, grouped, batch), first)
    assert "user_tower.capsules.initial_logits" in model.state_dict()


def test_gradients_equal_finite_differences() -> None:
    """With one iteration: the couplings of further ones are constants by design."""
    widths = Widths({"user": [2], "item": [2]}, {"clicks": 2})
    smooth = 'activation: "nn.Tanh"'
    text = text_of("sampled", history="", more=smooth, capsules="num_iters: 1 const_caps_num: true")
    match_models.assert_gradients_correct(text, widths, "sampled")  # gradcheck(


def test_training_overfits_a_batch() -> None:
    text = text_of("in_batch", history="", dim=16).replace("temperature: 0.5", "temperature: 0.1")
    text = text.replace("[6]", "32").replace("hidden_units: 5", "hidden_units: 32").replace("[5, 4]", "[32, 16]")
    match_models.assert_overfits(text, Widths({"user": [16], "item": [16]}, {"clicks": 3}))


def test_half_precision_stays_near_float32() -> None:
    match_models.assert_half_precision(text_of("sampled"), WIDTHS)


def test_exported_parts_equal_the_towers() -> None:
    match_models.assert_parts_export(text_of("in_batch"), WIDTHS)
