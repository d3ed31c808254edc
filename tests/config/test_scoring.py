"""The rules of losses and metrics: their fields, their classes, and the features they group rows by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_check import EDGES, SECOND, changed, found

LOSS = "binary_cross_entropy {}"
STUB = "feature_name: 's' expression: 'user:s' embedding_dim: 4 num_buckets: 9 stub_type: true"

WRONG: list[tuple[str, str, str]] = [
    ("auc {}", "accuracy { threshold: 2 }", "accuracy.threshold: 2 is not in [0, 1]"),
    ("auc {}", "precision { threshold: -1 }", "precision.threshold: -1 is not in [0, 1]"),
    ("auc {}", "xauc {}", "xauc: compares values, but with binary_cross_entropy this task predicts probabilities"),
    ("auc {}", "grouped_auc { grouping_key: 'user' }", 'grouping_key: unknown feature "user"; did you mean "user_id"?'),
    ("auc {}", "mrr { grouping_key: 'user_id' } } metrics { mrr { grouping_key: 'cate_id' }", '"mrr" is already the'),
    ("auc {}", "normalized_entropy { eta: 0 }", "eta: 0 is not in (0, 0.5)"),
    ("auc {}", "expected_calibration_error { num_bins: 0 }", "num_bins: 0 is below 1"),
    (LOSS, "binary_focal_loss { alpha: 2 }", "binary_focal_loss.alpha: 2 is not in [0, 1]"),
    (LOSS, "binary_focal_loss { gamma: -1 }", "binary_focal_loss.gamma: -1 is below 0"),
    (
        LOSS,
        "jrc_loss { session_name: 'user_id' }",
        "1 does not go with jrc_loss; use binary_cross_entropy, binary_focal_loss",
    ),
    (LOSS, "ziln_loss {}", "num_class: 1 does not go with ziln_loss; use l2_loss, huber_loss or num_class 3"),
    (LOSS, "bpr_loss { session_name: 'cat_id' }", 'session_name: unknown feature "cat_id"; did you mean "cate_id"?'),
]


@pytest.mark.parametrize(("old", "new", "wanted"), WRONG, ids=[each[2][:40] for each in WRONG])
def test_one_mistake_is_one_problem(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    (line,) = found(tmp_path, changed(old, new))
    assert wanted in line


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("xauc { sample_ratio: 0 }", "xauc.sample_ratio: 0 is not in (0, 1]"),
        ("grouped_xauc { grouping_key: 'user_id' max_pairs_per_group: 0 }", "max_pairs_per_group: 0 is below 1"),
        ("recall_at_k {}", "recall_at_k.top_k: 5 is not in [1, 1]"),
    ],
)
def test_fields_of_metrics_of_values(tmp_path: Path, field: str, wanted: str) -> None:
    lines = found(tmp_path, changed(LOSS, "huber_loss {}", "auc {}", field))
    assert wanted in lines[0]


def test_delta(tmp_path: Path) -> None:
    (line,) = found(tmp_path, changed(LOSS, "huber_loss { delta: 0 }", "auc {}", "xauc {}"))
    assert "huber_loss.delta: 0 is not above 0" in line


@pytest.mark.parametrize(
    "changes",
    [
        ("auc {}", "grouped_auc { grouping_key: 'price' }"),  # it has boundaries, so it has ids
        ("auc {}", "ndcg { grouping_key: 'user_id' } } metrics { ndcg { grouping_key: 'user_id' top_k: 5 }"),
        ("auc {}", "precision {} } metrics { recall {} } metrics { logloss {} } metrics { calibration {}"),
        ("auc {}", "expected_calibration_error {} } metrics { mrr { grouping_key: 'user_id' }"),
        ("auc {}", "normalized_entropy {} } metrics { auc {}"),
        (LOSS, "bpr_loss {}"),
        (LOSS, "binary_focal_loss {}"),
        ("auc {}", "xauc {} } metrics { grouped_xauc { grouping_key: 'cate_id' }", LOSS, "huber_loss {}"),
    ],
)
def test_what_is_right(tmp_path: Path, changes: tuple[str, ...]) -> None:
    assert found(tmp_path, changed(*changes)) == []


def test_a_dense_feature_makes_no_groups(tmp_path: Path) -> None:
    (line,) = found(tmp_path, changed("auc {}", "grouped_auc { grouping_key: 'price' }", EDGES, ""))
    assert '"price" is dense and has no ids to group rows by; features with ids: user_id, cate_id' in line


def test_a_stub_makes_no_groups(tmp_path: Path) -> None:
    stub = f"feature_configs {{ id_feature {{ {STUB} }} }}\n"
    (line,) = found(tmp_path, changed("auc {}", "grouped_auc { grouping_key: 's' }", SECOND, stub + SECOND))
    assert '"s" is a stub, which only other features may read; set its stub_type to false' in line


def test_the_best_checkpoint_by_a_metric_with_ranks(tmp_path: Path) -> None:
    best = "export_config { best_exporter_metric: '%s' }\neval_config {"
    ndcg = ("auc {}", "ndcg { grouping_key: 'user_id' top_k: 5 }", "eval_config {")
    name = "ndcg@5_" + changed().split('tower_name: "')[1].split('"')[0]
    assert found(tmp_path, changed(*ndcg, best % name)) == []
    (line,) = found(tmp_path, changed(*ndcg, best % name.replace("5", "6")))
    assert f'did you mean "{name}"' in line


TRAIN = "auc {} } train_metrics { auc {} %s"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("auc {}", TRAIN % "decay_rate: 1", "train_metrics[0].decay_rate: 1 is not in [0, 1)"),
        ("auc {}", TRAIN % "decay_step: 0", "train_metrics[0].decay_step: 0 is below 1"),
        (
            "auc {}",
            "auc {} } train_metrics { decay_step: 9",
            "train_metrics[0]: no metric is chosen; there are auc, re",
        ),
        ("auc {}", "auc {} } train_metrics { auc { thresholds: 0 }", "thresholds: 0 is for the exact area"),
        (
            "auc {}",
            "auc {} } train_metrics { xauc {}",
            "train_metrics[0].xauc: compares values, but with binary_cross_",
        ),
        ("auc {}", (TRAIN % "") + "} train_metrics { auc {}", '"auc" is already the name of another metric'),
    ],
)
def test_train_metrics(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    (line,) = found(tmp_path, changed(old, new))
    assert wanted in line


def test_good_train_metrics(tmp_path: Path) -> None:
    assert found(tmp_path, changed("auc {}", (TRAIN % "decay_rate: 0") + "} train_metrics { accuracy {}")) == []
