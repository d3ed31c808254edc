from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference, single_task

SMOOTH = 'fibinet { reduction_ratio: 1 deep { hidden_units: 2 activation: "nn.Tanh" } }'
SMALL = {"all": [2, 2, 2]}
LEARNER = "fibinet { reduction_ratio: 1 deep { hidden_units: [64, 32] } }"
WIDTHS = {"all": [8, 8, 8]}


def pairs_of(vectors: list[np.ndarray], matrices: np.ndarray) -> list[np.ndarray]:
    """Pair by pair; as many matrices as 1, the vectors, or their pairs (four vectors have six)."""
    pairs: list[np.ndarray] = []
    for i in range(len(vectors)):
        for j in range(i + 1, len(vectors)):
            index = {1: 0, len(vectors): i}.get(len(matrices), len(pairs))
            pairs.append((vectors[i] @ matrices[index]) * vectors[j])
    return pairs


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    vectors = np.split(row["all"], len(widths["all"]))
    hidden = np.maximum(w["weigh.squeeze.weight"] @ [vector.mean() for vector in vectors], 0)
    shares = np.maximum(w["weigh.excite.weight"] @ hidden, 0)
    weighed = [share * vector for share, vector in zip(shares, vectors, strict=True)]
    pairs = pairs_of(vectors, w["plain_pairs.weight"]) + pairs_of(weighed, w["weighed_pairs.weight"])
    return reference.linear(w, "output", reference.relu_layers(w, "deep", np.concatenate(pairs)))


CASES = [
    pytest.param("fibinet { deep { hidden_units: [6, 4] } }", {"all": [4, 4, 4, 4], "other": [2]}, 1, id="each"),
    pytest.param(
        "fibinet { bilinear: FIELD_ALL reduction_ratio: 1 deep { hidden_units: 6 } }",
        {"all": [3, 3, 3, 3]},
        2,
        id="all",
    ),
    pytest.param(
        "fibinet { bilinear: FIELD_INTERACTION reduction_ratio: 2 deep { hidden_units: 6 } }",
        {"all": [3, 3, 3, 3]},
        1,
        id="interaction",
    ),
]


def test_feature_weights_have_gradients() -> None:
    model = single_task.build(LEARNER, WIDTHS)
    model(single_task.random_groups(WIDTHS, 64)).logits[""].square().sum().backward()
    assert model.weigh.squeeze.weight.grad.abs().sum() > 0
    assert model.weigh.excite.weight.grad.abs().sum() > 0
