"""Rules of losses and metrics: fields, classes, and features that group rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import EDGES, SECOND, changed_config, problems_of

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
        "1 is not valid for jrc_loss; use binary_cross_entropy, binary_focal_loss",
    ),
    (LOSS, "ziln_loss {}", "num_class: 1 is not valid for ziln_loss; use l2_loss, huber_loss or num_class 3"),
    (LOSS, "bpr_loss { session_name: 'cat_id' }", 'session_name: unknown feature "cat_id"; did you mean "cate_id"?'),
]


@pytest.mark.parametrize(("old", "new", "expected"), WRONG, ids=[case[2][:40] for case in WRONG])
def test_invalid_loss_or_metric_is_one_problem(tmp_path: Path, old: str, new: str, expected: str) -> None:
    (line,) = problems_of(tmp_path, changed_config(old, new))
    assert expected in line


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("xauc { sample_ratio: 0 }", "xauc.sample_ratio: 0 is not in (0, 1]"),
        ("grouped_xauc { grouping_key: 'user_id' max_pairs_per_group: 0 }", "max_pairs_per_group: 0 is below 1"),
        ("recall_at_k {}", "recall_at_k.top_k: 5 is not in [1, 1]"),
    ],
)
def test_invalid_field_of_a_metric_is_a_problem(tmp_path: Path, field: str, expected: str) -> None:
    lines = problems_of(tmp_path, changed_config(LOSS, "huber_loss {}", "auc {}", field))
    assert expected in lines[0]


def test_huber_delta_of_zero_is_a_problem(tmp_path: Path) -> None:
    (line,) = problems_of(tmp_path, changed_config(LOSS, "huber_loss { delta: 0 }", "auc {}", "xauc {}"))
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
def test_valid_losses_and_metrics_have_no_problems(tmp_path: Path, changes: tuple[str, ...]) -> None:
    assert problems_of(tmp_path, changed_config(*changes)) == []


def test_dense_grouping_key_is_a_problem(tmp_path: Path) -> None:
    (line,) = problems_of(tmp_path, changed_config("auc {}", "grouped_auc { grouping_key: 'price' }", EDGES, ""))
    assert '"price" is dense and has no ids to group rows by; features with ids: user_id, cate_id' in line


def test_stub_grouping_key_is_a_problem(tmp_path: Path) -> None:
    stub = f"feature_configs {{ id_feature {{ {STUB} }} }}\n"
    (line,) = problems_of(
        tmp_path, changed_config("auc {}", "grouped_auc { grouping_key: 's' }", SECOND, stub + SECOND)
    )
    assert '"s" is a stub, which only other features may read; set its stub_type to false' in line


def test_best_exporter_metric_at_k_is_a_result(tmp_path: Path) -> None:
    best = "export_config { best_exporter_metric: '%s' }\neval_config {"
    ndcg = ("auc {}", "ndcg { grouping_key: 'user_id' top_k: 5 }", "eval_config {")
    name = "ndcg@5_" + changed_config().split('tower_name: "')[1].split('"')[0]
    assert problems_of(tmp_path, changed_config(*ndcg, best % name)) == []
    (line,) = problems_of(tmp_path, changed_config(*ndcg, best % name.replace("5", "6")))
    assert f'did you mean "{name}"' in line


TRAIN = "auc {} } train_metrics { auc {} %s"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("auc {}", TRAIN % "decay_rate: 1", "train_metrics[0].decay_rate: 1 is not in [0, 1)"),
        ("auc {}", TRAIN % "decay_step: 0", "train_metrics[0].decay_step: 0 is below 1"),
        (
            "auc {}",
            "auc {} } train_metrics { decay_step: 9",
            "train_metrics[0]: no metric is chosen; use one of auc, re",
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
def test_invalid_train_metric_is_one_problem(tmp_path: Path, old: str, new: str, expected: str) -> None:
    (line,) = problems_of(tmp_path, changed_config(old, new))
    assert expected in line


def test_valid_train_metrics_have_no_problems(tmp_path: Path) -> None:
    assert (
        problems_of(tmp_path, changed_config("auc {}", (TRAIN % "decay_rate: 0") + "} train_metrics { accuracy {}"))
        == []
    )
