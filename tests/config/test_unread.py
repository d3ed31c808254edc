"""Warnings of a valid config: what nothing reads, labels as features, endless sequences, unusual rates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, changed_config
from tzrec.config.check import inspect
from tzrec.config.load import load_source

GROUP = "    mmoe {"
FEATURES = 'feature_names: ["user_id", "cate_id", "price"]'
LABELS = 'label_fields: ["clk", "buy"]'
HISTORY = """feature_configs {
    sequence_id_feature {
        feature_name: "history" expression: "user:history" sequence_delim: ";" num_buckets: 9 embedding_dim: 16
    }
}
model_config {"""
READ_HISTORY = """sequence_groups { group_name: "h" feature_names: ["history"] }
        sequence_encoders { pooling_encoder { input: "h" } }
        feature_names: ["user_id", "cate_id", "price"]"""


def warnings_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "my.config"
    path.write_text(text)
    checker = inspect(load_source(str(path)))
    assert checker.problems == []
    return [f"{warning.field}: {warning.message}" for warning in checker.warnings]


def test_valid_config_has_no_warnings(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, MMOE) == []


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (
            [FEATURES, 'feature_names: ["user_id"]'],
            'feature_configs[1].id_feature: no feature group lists "cate_id", "price"; add it to one, or remove it',
        ),
        (
            [GROUP, 'feature_groups { group_name: "other" group_type: DEEP feature_names: "price" }\n    mmoe {'],
            'model_config.feature_groups[1].group_name: mmoe does not read the group "other"; it reads all',
        ),
        (
            [LABELS, 'label_fields: ["clk", "buy", "like"]'],
            'data_config.label_fields[2]: no task reads "like"; rows in which it is missing are skipped all the same: '
            "remove it",
        ),
        (
            ['expression: "item:price"', 'expression: "item:buy"'],
            'feature_configs[2].raw_feature.expression: this feature is the label "buy", which is not known when a '
            "model predicts; remove it",
        ),
        (
            ["model_config {", HISTORY, FEATURES, READ_HISTORY],
            'feature_configs[3].sequence_id_feature.sequence_length: no limit of elements for "history": one long row '
            "takes the memory of many; set it, e.g. 50",
        ),
        (
            ["adagrad_optimizer {\n            lr: 0.001", "adagrad_optimizer {\n            lr: 50"],
            "train_config.sparse_optimizer.adagrad_optimizer.lr: 50 is unusual: most runs diverge above 2",
        ),
    ],
)
def test_likely_mistake_is_one_warning(tmp_path: Path, pairs: list[str], expected: str) -> None:
    assert warnings_of(tmp_path, changed_config(*pairs)) == [expected]


def test_feature_that_another_one_reads_is_not_unread(tmp_path: Path) -> None:
    combo = """feature_configs {
    combo_feature {
        feature_name: "both" expression: ["feature:cate_id", "item:x"] hash_bucket_size: 9 embedding_dim: 16
    }
}
model_config {"""
    text = changed_config(FEATURES, 'feature_names: ["user_id", "both", "price"]', "model_config {", combo)
    assert warnings_of(tmp_path, text) == []


def test_examples_have_no_warnings_but_of_files(tmp_path: Path) -> None:
    for path in (Path(__file__).parents[2] / "examples" / "configs").glob("*.config"):
        warnings = [str(warning) for warning in inspect(load_source(str(path))).warnings]
        assert [text for text in warnings if "there is no file" not in text] == [], path.name
