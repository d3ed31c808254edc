from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures import reference, single_task

MLP = "{ hidden_units: 6 }"
CLICKS = 'din_towers { input: "clicks" attn_mlp { hidden_units: [6, 4] } }'
SMOOTH = (
    'multi_tower_din { towers { input: "user" mlp { hidden_units: 2 activation: "nn.Tanh" } } '
    'din_towers { input: "clicks" attn_mlp { hidden_units: 3 activation: "nn.Tanh" } } '
    'final { hidden_units: 2 activation: "nn.Tanh" } }'
)
SMALL = {"user": [2], "clicks.query": [1], "clicks.sequence": [2]}
LEARNER = (
    'multi_tower_din { towers { input: "user" mlp { hidden_units: [32, 16] } } '
    'din_towers { input: "clicks" attn_mlp { hidden_units: [16, 8] } } final { hidden_units: 32 } }'
)
WIDTHS = {"user": [8], "clicks.query": [8], "clicks.sequence": [8, 1]}


def din(w: reference.Weights, prefix: str, row: reference.Row, group: str) -> np.ndarray:
    """Target attention by the formula, element by element."""
    elements = row[f"{group}.sequence"]
    if not len(elements):
        return np.zeros(elements.shape[1])
    q = np.zeros(elements.shape[1])
    q[: len(row[f"{group}.query"])] = row[f"{group}.query"]
    inputs = [np.concatenate([q, s, q - s, q * s]) for s in elements]
    scores = [reference.linear(w, f"{prefix}.linear", reference.relu_layers(w, f"{prefix}.mlp", x)) for x in inputs]
    shares = np.exp(np.concatenate(scores) - np.max(scores))
    return np.asarray(shares @ elements / shares.sum())


def naive(w: reference.Weights, row: reference.Row, widths: single_task.Widths) -> np.ndarray:
    """MLP towers in order, then attention towers in order."""
    groups = [group for group in ("user", "item") if group in widths]
    towers = [reference.relu_layers(w, f"towers.{i}", row[group]) for i, group in enumerate(groups)]
    sequences = [name.removesuffix(".sequence") for name in widths if name.endswith(".sequence")]
    towers += [din(w, f"din_towers.{i}", row, group) for i, group in enumerate(sequences)]
    return reference.linear(w, "output", reference.relu_layers(w, "final", np.concatenate(towers)))


CASES = [
    pytest.param(
        f'multi_tower_din {{ towers {{ input: "user" mlp {{ hidden_units: 5 }} }} {CLICKS} final {MLP} }}',
        {"user": [4, 1], "clicks.query": [3], "clicks.sequence": [3, 2]},
        1,
        id="narrow query",
    ),
    pytest.param(
        'multi_tower_din { towers { input: "user" } towers { input: "item" mlp { hidden_units: 3 } } '
        f'{CLICKS} din_towers {{ input: "carts" attn_mlp {{ hidden_units: 4 }} }} }}',
        {
            "user": [2],
            "item": [3],
            "clicks.query": [4],
            "clicks.sequence": [4],
            "carts.query": [2],
            "carts.sequence": [3],
        },
        2,
        id="two histories without final",
    ),
    pytest.param(
        f"multi_tower_din {{ {CLICKS} }}", {"clicks.query": [2, 1], "clicks.sequence": [2, 1]}, 1, id="one history"
    ),
]


def test_batch_without_elements_has_logits_of_zeros() -> None:
    model = single_task.build(LEARNER, WIDTHS).eval()
    grouped = single_task.random_groups(WIDTHS, 3)
    none = torch.zeros(0, dtype=torch.int64)
    grouped |= {"clicks.sequence": torch.zeros(0, 9), "clicks.rows": none, "clicks.positions": none}
    grouped["clicks.sequence_length"] = torch.zeros(3, dtype=torch.int64)
    w, rows = reference.weights(model), reference.rows(grouped)
    expected = torch.tensor(np.stack([naive(w, row, WIDTHS) for row in rows]), dtype=torch.float32)
    torch.testing.assert_close(model(grouped).logits[""], expected)
