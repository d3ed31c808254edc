"""Every loss equals a naive loop in float64, with weights, spaces, sessions, ties and labels of one kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from torchrec import KeyedJaggedTensor

from tzrec.config.heads import declare_heads
from tzrec.data.batch import BASE, Batch
from tzrec.heads.build import build_heads
from tzrec.protos.loss_pb2 import LossConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

ROWS, COUNTED = 48, 40
"""Rows of a batch, and those that count."""


@dataclass
class Rows:
    """Inputs of a loss: logits `(B, C)`, labels `(B,)` and sessions `(B,)`, below 0 for none."""

    z: np.ndarray
    y: np.ndarray
    session: np.ndarray

    def rivals(self, i: int) -> list[int]:
        """Rows of the session of row i with the other label."""
        session = self.session[i]
        return [j for j in range(len(self.y)) if session >= 0 and self.session[j] == session and self.y[j] != self.y[i]]


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - z.max() - np.log(np.exp(z - z.max()).sum())


def entropy(rows: Rows, i: int, smoothing: float = 0.1) -> float:
    target = rows.y[i] * (1 - smoothing) + smoothing / 2
    return -target * log_sigmoid(rows.z[i, 0]) - (1 - target) * log_sigmoid(-rows.z[i, 0])


def focal(rows: Rows, i: int) -> float:
    p, y = 1 / (1 + math.exp(-rows.z[i, 0])), rows.y[i]
    return (0.3 * y * (1 - p) ** 1.5 + 0.7 * (1 - y) * p**1.5) * entropy(rows, i, 0.0)


def classes(rows: Rows, i: int, smoothing: float = 0.2) -> float:
    target = np.full(rows.z.shape[1], smoothing / rows.z.shape[1])
    target[int(rows.y[i])] += 1 - smoothing
    return float(-(target * log_softmax(rows.z[i])).sum())


def squared(rows: Rows, i: int) -> float:
    return float((rows.z[i, 0] - (rows.y[i] - 2) / 1.5) ** 2)


def huber(rows: Rows, i: int) -> float:
    d = abs(rows.z[i, 0] - rows.y[i])
    return float(d * d / 2 if d <= 0.7 else 0.7 * (d - 0.35))


def joint(rows: Rows, i: int) -> float:
    column = int(rows.y[i])
    scores = np.array([rows.z[j, column] for j in (i, *rows.rivals(i))])
    ranking = -log_softmax(scores)[0] if len(scores) > 1 else 0.0
    return float(0.4 * classes(rows, i, 0.0) + 0.6 * ranking)


def pairwise(rows: Rows, i: int) -> float:
    sign = 1 if rows.y[i] > 0 else -1
    losses = [-log_sigmoid(sign * (rows.z[i, 0] - rows.z[j, 0])) for j in rows.rivals(i)]
    return float(np.mean(losses)) if losses else 0.0


def lognormal(rows: Rows, i: int) -> float:
    a, mu, s = rows.z[i]
    if rows.y[i] == 0:
        return -log_sigmoid(-a)
    sigma, x = max(-log_sigmoid(-s), 1e-4), rows.y[i]
    return -log_sigmoid(a) + math.log(x * sigma * math.sqrt(2 * math.pi)) + (math.log(x) - mu) ** 2 / (2 * sigma**2)


# name -> its fields, num_class, largest label, the loss of a row
LOSSES: dict[str, tuple[str, int, int, Callable[[Rows, int], float]]] = {
    "binary_cross_entropy": ("label_smoothing: 0.1", 1, 1, entropy),
    "binary_focal_loss": ("gamma: 1.5 alpha: 0.3", 1, 1, focal),
    "softmax_cross_entropy": ("label_smoothing: 0.2", 4, 3, classes),
    "l2_loss": ("mean: 2 standard_deviation: 1.5", 1, 5, squared),
    "huber_loss": ("delta: 0.7", 1, 5, huber),
    "jrc_loss": ("session_name: 'session' alpha: 0.4", 2, 1, joint),
    "bpr_loss": ("session_name: 'session'", 1, 1, pairwise),
    "ziln_loss": ("", 3, 5, lognormal),
}
CASES = ["plain", "ties", "one label", "weights", "space", "empty space", "weights of 0"]


def test_every_loss_has_a_reference() -> None:
    assert set(LOSSES) == {field.name for field in LossConfig.DESCRIPTOR.oneofs_by_name["loss"].fields}


def batch(label: torch.Tensor, case: str) -> Batch:
    """Batch in which half of the sessions have one row and some rows have no session."""
    lengths = (torch.rand(ROWS) > 0.1).int()
    ids = torch.where(torch.rand(ROWS) > 0.5, torch.randint(4, (ROWS,)), 100 + torch.arange(ROWS))
    space = torch.zeros(ROWS) if case == "empty space" else torch.randint(2, (ROWS,)).float()
    return Batch(
        COUNTED,
        sparse={BASE: KeyedJaggedTensor(["session"], ids[lengths > 0], lengths=lengths)},
        labels={"label": label, "space": space},
        weights={"w": torch.zeros(ROWS) if case == "weights of 0" else torch.rand(ROWS) * 3},
    )


def weighting(case: str) -> str:
    fields = "weight: 0.5"
    if case.startswith("weights"):
        fields += " sample_weight_name: 'w'"
    if case.endswith("space"):
        fields += " sample_weight_name: 'w' task_space_indicator_label: 'space' out_task_space_weight: 0"
    return fields


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", LOSSES)
def test_weighted_loss_equals_a_naive_loop(name: str, case: str) -> None:
    fields, num_class, largest, of_row = LOSSES[name]
    text = f"tower_name: 't' label_name: 'label' num_class: {num_class} losses {{ {name} {{ {fields} }} weight: 3 }}"
    config = EasyRecConfig()
    text_format.Parse(f"model_config {{ mmoe {{ task_towers {{ {text} {weighting(case)} }} }} }}", config)
    head = build_heads(declare_heads(config))["t"]
    z = torch.randn(ROWS, num_class) * 2
    z = torch.round(z) if case == "ties" else z
    label = torch.randint(largest + 1, (ROWS,))
    label = torch.ones_like(label) if case == "one label" else label
    rows_batch = batch(label if head.losses[name].integer_label or largest == 1 else label.float(), case)
    received = head.compute_losses(z, rows_batch)[f"{name}_t"].item()

    rows = Rows(*(x[:COUNTED].double().numpy() for x in (z, label, rows_batch.first_ids("session"))))
    losses = np.array([of_row(rows, i) for i in range(COUNTED)])
    w = rows_batch.weights["w"][:COUNTED].double().numpy() if case not in CASES[:3] else np.ones(COUNTED)
    w = w * (rows_batch.labels["space"][:COUNTED].double().numpy() > 0) if case.endswith("space") else w
    correct = 3 * 0.5 * np.mean(losses * w / w.mean()) if w.any() else 0.0
    assert received == pytest.approx(correct, rel=1e-6, abs=1e-6)
    assert (correct == 0) == (case in ("empty space", "weights of 0") or (case == "one label" and name == "bpr_loss"))
