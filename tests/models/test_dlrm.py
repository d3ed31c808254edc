from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures import reference, single_task

SMOOTH = (
    'dlrm { dense_mlp { hidden_units: 2 activation: "nn.Tanh" } final { hidden_units: [3, 2] activation: "nn.Tanh" } }'
)
SMALL = {"dense": [2], "sparse": [2, 2]}
LEARNER = "dlrm { dense_mlp { hidden_units: [16, 8] } final { hidden_units: [64, 32] } }"
WIDTHS = {"dense": [1, 1, 2], "sparse": [8, 8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """Pair by pair."""
    vectors = np.split(row["sparse"], len(widths["sparse"]))
    dense = [reference.relu_layers(w, "dense_mlp", row["dense"])] if "dense" in row else []
    vectors = dense + vectors
    dots = [vectors[i] @ vectors[j] for i in range(len(vectors)) for j in range(i + 1, len(vectors))]
    weight = w["final.layers.0.linear.weight"]
    passed = vectors if weight.shape[1] == len(dots) + len(vectors) * len(vectors[0]) else dense
    hidden = weight @ np.concatenate([dots, *passed]) + w["final.layers.0.linear.bias"]
    hidden = np.maximum(hidden, 0)
    if "final.layers.1.linear.weight" in w:
        hidden = np.maximum(reference.linear(w, "final.layers.1.linear", hidden), 0)
    return reference.linear(w, "output", hidden)


CASES = [
    pytest.param(
        "dlrm { dense_mlp { hidden_units: [6, 4] } final { hidden_units: [8, 5] } }",
        {"dense": [1, 1, 2], "sparse": [4, 4, 4]},
        1,
        id="dense and sparse",
    ),
    pytest.param("dlrm { final { hidden_units: [8, 5] } }", {"sparse": [4, 4, 4, 4]}, 1, id="sparse alone"),
    pytest.param(
        "dlrm { dense_mlp { hidden_units: 4 } arch_with_sparse: false final { hidden_units: 8 } }",
        {"dense": [2], "sparse": [4, 4, 4]},
        3,
        id="dots and dense",
    ),
    pytest.param(
        "dlrm { arch_with_sparse: false final { hidden_units: [8, 5] } }", {"sparse": [4, 4, 4]}, 1, id="dots alone"
    ),
]


def test_first_layer_after_the_dot_products_has_norm_and_dropout() -> None:
    text = "dlrm { final { hidden_units: [8, 5] use_ln: true dropout_ratio: 0.5 } }"
    model = single_task.build(text, {"sparse": [4, 4]})
    grouped = single_task.random_groups({"sparse": [4, 4]}, 5)
    w = reference.weights(model)
    expected = []
    for row in reference.rows(grouped):
        first, second = np.split(row["sparse"], 2)
        hidden = np.concatenate([[first @ second], first, second])
        for layer in ("final.layers.0", "final.layers.1"):
            hidden = np.maximum(
                reference.layer_norm(w, f"{layer}.norm", reference.linear(w, f"{layer}.linear", hidden)), 0
            )
        expected.append(reference.linear(w, "output", hidden))
    single_task.assert_logits_equal(model, grouped, expected)
    assert not torch.equal(model.train()(grouped).logits[""], model(grouped).logits[""])


@pytest.mark.parametrize("name", ["all", "dense"])
def test_single_group_of_any_name_is_the_sparse_one(name: str) -> None:
    named, model = (
        single_task.build("dlrm { final { hidden_units: [8, 5] } }", {name: [4, 4, 4]}),
        single_task.build("dlrm { final { hidden_units: [8, 5] } }", {"sparse": [4, 4, 4]}),
    )
    named.load_state_dict(model.state_dict())
    grouped = single_task.random_groups({"sparse": [4, 4, 4]}, 5)
    assert torch.equal(named({name: grouped["sparse"]}).logits[""], model(grouped).logits[""])
