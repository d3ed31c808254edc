from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures import match_models, reference
from tests.fixtures.match_models import LAYOUTS, Widths
from tests.models import test_dssm as dssm

WIDTHS = Widths({"user": [4, 2], "user_augment": [3], "item": [3], "item_augment": [3]})
TEXT = (
    'dat {{ user_tower {{ input: "user" augment_input: "user_augment" mlp {{ hidden_units: [6] {more} }} }} '
    'item_tower {{ input: "item" augment_input: "item_augment" mlp {{ hidden_units: [5] {more} }} }} output_dim: 3 '
    "similarity: COSINE temperature: 0.5 in_batch_negative: {in_batch} amm_u_weight: 0.25 amm_i_weight: 2 }}"
)


def text_of(layout: str, more: str = "") -> str:
    return TEXT.format(in_batch=str(LAYOUTS[layout][0]).lower(), more=more)


def naive(w: reference.Weights, grouped: match_models.Grouped, side: str) -> list[np.ndarray]:
    """Vectors of a tower, which reads both of its groups."""
    rows = torch.cat([grouped[side], grouped[f"{side}_augment"]], 1)
    return dssm.naive(w, rows, f"{side}_tower", "COSINE")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_equal_the_reference(layout: str) -> None:
    model = match_models.build(text_of(layout), WIDTHS)
    grouped = match_models.random_groups(model, WIDTHS, 5, LAYOUTS[layout][1] + len(LAYOUTS[layout][2]))
    w = reference.weights(model)
    expected = match_models.naive_scores(naive(w, grouped, "user"), naive(w, grouped, "item"), layout, 0.5)
    match_models.assert_scores_equal(model, grouped, layout, expected)


def test_losses_of_augmented_vectors_equal_the_reference() -> None:
    model, batch = match_models.build(text_of("sampled"), WIDTHS).train(), match_models.make_batch(3, "sampled")
    grouped = match_models.random_groups(model, WIDTHS, 3, 4)
    w = reference.weights(model)
    losses = (
        type(model)
        .heads(match_models.parse(text_of("sampled")))
        .compute_auxiliary_losses(model(grouped).auxiliary_losses, batch)
    )
    for name, factor, side, other in [("amm_loss_u", 0.25, "user", "item"), ("amm_loss_i", 2.0, "item", "user")]:
        vectors, total = naive(w, grouped, other), 0.0
        for row in range(3):
            augmented = grouped[f"{side}_augment"][row].double().numpy()
            augmented = augmented / np.sqrt(sum(v * v for v in augmented))
            total += sum((a - b) ** 2 for a, b in zip(augmented, vectors[row], strict=True))
        assert losses[name].item() == pytest.approx(factor * total / 3, rel=1e-5)


def test_losses_of_augmented_vectors_are_weighted_by_samples() -> None:
    config = match_models.parse(text_of("in_batch"))
    config.data_config.sample_weight_fields.append("w")
    batch = match_models.make_batch(2, "in_batch")
    batch.weights["w"] = torch.tensor([3.0, 1.0])
    losses = (
        match_models.build(text_of("in_batch"), WIDTHS)
        .heads(config)
        .compute_auxiliary_losses({"amm_loss_u": torch.tensor([1.0, 5.0])}, batch)
    )
    assert losses["amm_loss_u"].item() == pytest.approx(0.25 * (3 * 1 + 1 * 5) / 4)


def test_augmented_vectors_have_no_loss_in_evaluation() -> None:
    model = match_models.build(text_of("in_batch"), WIDTHS).eval()
    assert model(match_models.random_groups(model, WIDTHS, 3)).auxiliary_losses == {}


def test_gradients_equal_finite_differences() -> None:
    """The vectors of the other tower are constants of these losses, so the differences are those of the towers."""
    text = text_of("sampled", 'activation: "nn.Tanh"').replace("amm_u_weight: 0.25 amm_i_weight: 2", "%s")
    widths = Widths({"user": [2], "user_augment": [3], "item": [2], "item_augment": [3]})
    match_models.assert_gradients_correct(text % "amm_u_weight: 0 amm_i_weight: 0", widths, "sampled")  # gradcheck(


def test_losses_of_augmented_vectors_do_not_train_the_other_tower() -> None:
    model = match_models.build(text_of("in_batch"), WIDTHS).train()
    grouped = {k: x.requires_grad_() for k, x in match_models.random_groups(model, WIDTHS, 3).items()}
    losses = model(grouped).auxiliary_losses
    gradients = torch.autograd.grad(losses["amm_loss_u"].sum(), list(grouped.values()), allow_unused=True)
    assert [name for name, gradient in zip(grouped, gradients, strict=True) if gradient is not None] == ["user_augment"]


def test_training_overfits_a_batch() -> None:
    """The losses of augmented vectors are learned as well: they are a part of the sum."""
    widths = Widths({"user": [16], "user_augment": [16], "item": [16], "item_augment": [16]})
    text = (
        text_of("in_batch").replace("output_dim: 3", "output_dim: 16").replace("temperature: 0.5", "temperature: 0.1")
    )
    match_models.assert_overfits(text.replace("[6]", "32").replace("[5]", "32"), widths)


def test_half_precision_stays_near_float32() -> None:
    match_models.assert_half_precision(text_of("sampled"), WIDTHS)


def test_exported_parts_equal_the_towers() -> None:
    match_models.assert_parts_export(text_of("in_batch"), WIDTHS)
