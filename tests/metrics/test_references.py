"""Every metric equals scikit-learn or a naive loop in float64, on one rank and on three: ties, one class, no groups."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from sklearn import metrics as sk

from tests.fixtures.metrics import compute, compute_ranks
from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.protos.metric_pb2 import MetricConfig

Rows = dict[str, np.ndarray]


def defined(values: list[float], sizes: list[int] | None = None) -> float:
    """Mean of the values that are defined."""
    some = [i for i, value in enumerate(values) if not math.isnan(value)]
    return (
        float(np.average([values[i] for i in some], weights=sizes and [sizes[i] for i in some])) if some else math.nan
    )


def area(y: np.ndarray, p: np.ndarray) -> float:
    return float(sk.roc_auc_score(y, p)) if 0 < y.sum() < len(y) else math.nan


def binned(p: np.ndarray) -> np.ndarray:
    """The highest of 20 cuts that a score reaches."""
    cuts = torch.linspace(0, 1, 20).double().numpy()
    return np.array([np.flatnonzero(cuts <= score)[-1] for score in p])


def groups(r: Rows) -> Iterator[Rows]:
    for group in np.unique(r["group"][r["group"] >= 0]):
        yield {name: values[r["group"] == group] for name, values in r.items()}


def order(r: Rows) -> float:
    """Share of pairs in the order of their labels."""
    pairs = [(i, j) for i, j in combinations(range(len(r["label"])), 2) if r["label"][i] != r["label"][j]]
    signs = [np.sign((r["y"][i] - r["y"][j]) * (r["label"][i] - r["label"][j])) for i, j in pairs]
    return float(np.mean([(1 + sign) / 2 for sign in signs])) if pairs else math.nan


def gain(r: Rows) -> float:
    if not r["label"].sum():
        return math.nan
    return float(sk.ndcg_score([r["label"]], [r["probs"]], k=3)) if len(r["label"]) > 1 else 1.0


def first(r: Rows) -> float:
    """Mean rank of the first positive over all orders of its tie."""
    best = max(r["probs"][r["label"] > 0], default=None)
    if best is None:
        return math.nan
    tied = r["probs"] == best
    return float(1 / ((r["probs"] > best).sum() + (tied.sum() + 1) / (r["label"][tied].sum() + 1)))


def entropy(r: Rows) -> float:
    return float(sk.log_loss(r["label"], r["probs"], labels=[0, 1]))


def relative_entropy(r: Rows) -> float:
    base = np.clip(r["label"].mean(), 1e-3, 1 - 1e-3)
    return float(entropy(r) / -(base * math.log(base) + (1 - base) * math.log(1 - base)))


def expected_error(r: Rows) -> float:
    bins = [(k / 5 < r["probs"]) & (r["probs"] <= (k + 1) / 5) | (k == 0) & (r["probs"] == 0) for k in range(5)]
    return float(sum(abs((r["label"] - r["probs"])[b].sum()) for b in bins) / len(r["label"]))


def top(r: Rows, k: int) -> float:
    """Probability that the column of the label is among the k highest, over all orders of ties."""
    chances = []
    for z, label in zip(r["logits"], r["label"].astype(int), strict=True):
        above, tied = (z > z[label]).sum(), (z == z[label]).sum()
        chances.append(np.clip((k - above) / tied, 0, 1))
    return float(np.mean(chances))


def one_against_rest(r: Rows) -> float:
    return defined([area(r["label"] == c, r["probs"][:, c]) for c in range(4)])


def thresholded(r: Rows, metric: str) -> float:
    positive = r["probs"] > 0.4
    chosen = positive if metric == "precision" else r["label"] > 0
    return float((positive & (r["label"] > 0)).sum() / chosen.sum()) if chosen.any() else math.nan


GROUP = "grouping_key: 'user'"
# name -> its fields, kind of task, the reference
METRICS: dict[str, tuple[str, str, Callable[[Rows], float]]] = {
    "auc": ("thresholds: 0", "binary", lambda r: area(r["label"], r["probs"])),
    "auc of bins": ("thresholds: 20", "binary", lambda r: area(r["label"], binned(r["probs"]))),
    "multiclass_auc": ("thresholds: 0", "classes", one_against_rest),
    "recall_at_k": ("top_k: 2", "classes", lambda r: top(r, 2)),
    "mean_absolute_error": ("", "value", lambda r: float(sk.mean_absolute_error(r["label"], r["y"]))),
    "mean_squared_error": ("", "value", lambda r: float(sk.mean_squared_error(r["label"], r["y"]))),
    "accuracy": ("threshold: 0.4", "binary", lambda r: float(sk.accuracy_score(r["label"] > 0, r["probs"] > 0.4))),
    "grouped_auc": (GROUP, "binary", lambda r: defined([area(g["label"], g["probs"]) for g in groups(r)])),
    "xauc": ("max_pairs: 1000000", "value", order),
    "grouped_xauc": (
        f"{GROUP} max_pairs_per_group: 1000000",
        "value",
        lambda r: defined([order(g) for g in groups(r)], [len(g["label"]) for g in groups(r)]),
    ),
    "normalized_entropy": ("eta: 0.001", "binary", relative_entropy),
    "logloss": ("", "binary", entropy),
    "calibration": ("", "binary", lambda r: r["probs"].sum() / r["label"].sum() if r["label"].any() else math.nan),
    "expected_calibration_error": ("num_bins: 5", "binary", expected_error),
    "ndcg": (f"{GROUP} top_k: 3", "binary", lambda r: defined([gain(g) for g in groups(r)])),
    "mrr": (GROUP, "binary", lambda r: defined([first(g) for g in groups(r)])),
    "precision": ("threshold: 0.4", "binary", lambda r: thresholded(r, "precision")),
    "recall": ("threshold: 0.4", "binary", lambda r: thresholded(r, "recall")),
}


def test_every_metric_has_a_reference() -> None:
    known = {field.name for field in MetricConfig.DESCRIPTOR.oneofs_by_name["metric"].fields}
    assert {name.split()[0] for name in METRICS} == known


def rows(kind: str, case: str, n: int = 120) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Outputs of a task and labels; a third of the rows are in no group, some groups have one row."""
    label = torch.randint(4 if kind == "classes" else 2, (n,))
    label = torch.zeros_like(label) if case == "one class" else label
    logits = torch.randn(n, 4) + 2 * torch.nn.functional.one_hot(label, 4)
    logits = torch.round(logits) if case == "ties" else logits
    probs = torch.softmax(logits, 1) if kind == "classes" else torch.sigmoid(logits[:, 1] - 1)
    group = torch.where(
        torch.rand(n) < 0.3, -1, torch.where(torch.rand(n) < 0.2, torch.arange(n), torch.randint(6, (n,)))
    )
    group = torch.full_like(group, -1) if case == "no groups" else group
    return {"logits": logits, "probs": probs, "y": logits[:, 1], "group": group}, label


def make(name: str, fields: str, kind: str) -> Any:
    name = name.split()[0]
    config = text_format.Parse(f"{name} {{ {fields} }}", MetricConfig())
    return registry.resolve_class(config, "metric")(4 if kind == "classes" else 1, **kwargs(getattr(config, name)))


@pytest.mark.parametrize("case", ["random", "ties", "one class", "no groups"])
@pytest.mark.parametrize("name", METRICS)
def test_value_equals_its_reference_on_one_rank_and_on_three(name: str, case: str) -> None:
    fields, kind, reference = METRICS[name]
    predictions, label = rows(kind, case)
    arrays = {key: value.double().numpy() for key, value in predictions.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        correct = reference({**arrays, "label": label.double().numpy()})
    one_rank = compute(make(name, fields, kind), predictions, label, num_batches=4)
    ranks = compute_ranks(lambda: make(name, fields, kind), predictions, label)
    assert [one_rank, *ranks] == pytest.approx([correct] * 4, abs=1e-6, nan_ok=True)
    assert math.isnan(correct) == (case == "no groups" and "grouping_key" in fields) or case == "one class"
