from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixtures import reference, single_task

ATTENTION = "multiwindow_din { windows_len: [1, 2] attn_mlp { hidden_units: [5] } }"
SMOOTH = (
    'tdm { multiwindow_din { windows_len: [1, 2] attn_mlp { hidden_units: 3 activation: "nn.Tanh" } } '
    'final { hidden_units: 2 activation: "nn.Tanh" } }'
)
SMALL = {"user": [2], "clicks.query": [1], "clicks.sequence": [2]}
LEARNER = (
    "tdm { multiwindow_din { windows_len: [1, 1, 2] attn_mlp { hidden_units: [16] activation: 'nn.PReLU' } } "
    "final { hidden_units: [32, 16] } }"
)
WIDTHS = {"user": [8], "clicks.query": [8], "clicks.sequence": [8, 1]}
WINDOWS = [1, 2]


def multiwindow_din(w: reference.Weights, row: reference.Row, group: str) -> np.ndarray:
    """Attention over windows by the formula, window by window and element by element."""
    elements = row[f"{group}.sequence"]
    q = np.zeros(elements.shape[1])
    q[: len(row[f"{group}.query"])] = row[f"{group}.query"]
    parts, start = [], 0
    slope = w["multiwindow_din.activation.weight"][0]
    for window in WINDOWS:
        total, count = np.zeros(elements.shape[1]), 0
        for position in range(start, min(start + window, len(elements))):
            s = elements[position]
            hidden = reference.relu_layers(w, "multiwindow_din.mlp", np.concatenate([s, q * s, q]))
            score = reference.linear(w, "multiwindow_din.linear", hidden)[0]
            total += (score if score > 0 else slope * score) * s
            count += 1
        parts.append(total / max(count, 1))
        start += window
    return np.concatenate([*parts, q])


def naive(w: reference.Weights, row: reference.Row, widths: single_task.Widths) -> np.ndarray:
    """Windows and node, then the other groups in order."""
    groups = [row[group] for group in widths if "." not in group]
    x = np.concatenate([multiwindow_din(w, row, "clicks"), *groups])
    return reference.linear(w, "output_mlp", reference.relu_layers(w, "deep_mlp", x))


CASES = [
    pytest.param(
        f"tdm {{ {ATTENTION} final {{ hidden_units: [6, 4] }} }}",
        {"user": [4, 1], "clicks.query": [3], "clicks.sequence": [3, 2], "item": [2]},
        2,
        id="groups around the history",
    ),
    pytest.param(
        f"tdm {{ {ATTENTION} final {{ hidden_units: 5 }} }}",
        {"clicks.query": [4], "clicks.sequence": [4]},
        1,
        id="history alone",
    ),
]


def test_batch_without_elements_has_logits_of_the_node() -> None:
    model = single_task.build(LEARNER, WIDTHS).eval()
    grouped = single_task.random_groups(WIDTHS, 3)
    none = torch.zeros(0, dtype=torch.int64)
    grouped |= {"clicks.sequence": torch.zeros(0, 9), "clicks.rows": none, "clicks.positions": none}
    grouped["clicks.sequence_length"] = torch.zeros(3, dtype=torch.int64)
    node = torch.nn.functional.pad(grouped["clicks.query"], (27, 1))  # three windows of zeros, then the padded node
    expected = model.output_mlp(model.deep_mlp(torch.cat([node, grouped["user"]], 1)))
    torch.testing.assert_close(model(grouped).logits[""], expected)


def test_parameters_follow_the_names_of_the_blocks() -> None:
    model = single_task.build(LEARNER, WIDTHS)
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"multiwindow_din", "deep_mlp", "output_mlp"}
    assert model.deep_mlp.layers[0].linear.in_features == 4 * 9 + 8
