from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures import reference, single_task

SMOOTH = (
    'wukong { dense_mlp { hidden_units: 3 activation: "nn.Tanh" } wukong_layers { '
    "lcb_feature_num: 1 fmb_feature_num: 1 compressed_feature_num: 2 feature_num_mlp { "
    'hidden_units: 2 activation: "nn.Tanh" } } final { hidden_units: 2 activation: "nn.Tanh" } '
    "}"
)
SMALL = {"dense": [1], "sparse": [3, 3]}
LEARNER = (
    "wukong { wukong_layers { lcb_feature_num: 4 fmb_feature_num: 4 feature_num_mlp { "
    "hidden_units: 32 } } final { hidden_units: 32 } }"
)
WIDTHS = {"sparse": [8, 8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    """Vector by vector."""
    vectors = np.split(row["sparse"], len(widths["sparse"]))
    if "dense" in row:
        dense = reference.relu_layers(w, "dense_mlp", row["dense"])
        vectors = [reference.linear(w, "dense_output", dense) if "dense_output.weight" in w else dense, *vectors]
    layer = 0
    while (at := f"layers.{layer}.") + "norm.weight" in w:
        combined = [sum(c * v for c, v in zip(mix, vectors, strict=True)) for mix in w[at + "combine.weight"]]
        dots = np.array([vector @ other for vector in vectors for other in combined])
        machines = reference.linear(
            w, at + "fm_output", reference.relu_layers(w, at + "fm_mlp", reference.layer_norm(w, at + "fm_norm", dots))
        )
        together = list(machines.reshape(-1, len(vectors[0])))
        together += [sum(c * v for c, v in zip(mix, vectors, strict=True)) for mix in w[at + "compress.weight"]]
        residual = vectors
        if at + "residual.weight" in w:
            residual = [sum(c * v for c, v in zip(mix, vectors, strict=True)) for mix in w[at + "residual.weight"]]
        vectors = [reference.layer_norm(w, at + "norm", a + b) for a, b in zip(together, residual, strict=True)]
        layer += 1
    return reference.linear(w, "output", reference.relu_layers(w, "final", np.concatenate(vectors)))


CASES = [
    pytest.param(
        (
            "wukong { dense_mlp { hidden_units: [6, 4] } wukong_layers { lcb_feature_num: 2 "
            "fmb_feature_num: 3 feature_num_mlp { hidden_units: [5, 7] } } wukong_layers { "
            "lcb_feature_num: 3 fmb_feature_num: 2 compressed_feature_num: 2 feature_num_mlp { "
            "hidden_units: 4 } } final { hidden_units: [6, 4] } }"
        ),
        {"dense": [1, 2], "sparse": [4, 4, 4]},
        1,
        id="dense and sparse",
    ),
    pytest.param(
        (
            "wukong { dense_mlp { hidden_units: [6, 5] } wukong_layers { lcb_feature_num: 2 fmb_feature_num: 1 "
            "feature_num_mlp { hidden_units: 5 } } final { hidden_units: 6 } }"
        ),
        {"dense": [1, 2], "sparse": [4, 4]},
        1,
        id="dense of another width",
    ),
    pytest.param(
        (
            "wukong { wukong_layers { lcb_feature_num: 2 fmb_feature_num: 1 compressed_feature_num: 2 "
            "feature_num_mlp { hidden_units: 5 } } final { hidden_units: 6 } }"
        ),
        {"sparse": [4, 4, 4]},
        2,
        id="sparse alone, counts residual",
    ),
]


@pytest.mark.parametrize("name", ["all", "dense"])
def test_single_group_of_any_name_is_the_sparse_one(name: str) -> None:
    named, model = single_task.build(LEARNER, {name: [4, 4, 4]}), single_task.build(LEARNER, {"sparse": [4, 4, 4]})
    named.load_state_dict(model.state_dict())
    grouped = single_task.random_groups({"sparse": [4, 4, 4]}, 5)
    assert torch.equal(named({name: grouped["sparse"]}).logits[""], model(grouped).logits[""])
