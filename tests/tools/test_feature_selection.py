"""Feature selection by variational dropout on planted signal."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.fixtures.planted_signal import trained
from tzrec.config.check import load_checked
from tzrec.run.selection import RankedFeature, keep_ranked
from tzrec.tools import feature_selection

ALL = ["noise", "tags", "hum", "strong", "number", "spare"]


def ranking(directory: Path) -> dict[str, float]:
    with (directory / "feature_ranking.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["group"] for row in rows} == {"all"}
    return {row["feature"]: float(row["dropout_probability"]) for row in rows}


def test_selection_keeps_the_features_with_planted_signal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--pipeline_config", str(trained()), "--output_dir", str(tmp_path), "--topk", "3"]
    assert feature_selection.main([*words, "--visualize", "--clear_variational_dropout"]) == 0
    probabilities = ranking(tmp_path)
    assert sorted(probabilities) == sorted(ALL)
    assert list(probabilities.values()) == sorted(probabilities.values())
    assert next(iter(probabilities)) == "strong"
    assert set(list(probabilities)[1:3]) == {"tags", "number"}
    assert max(probabilities[name] for name in ("strong", "tags", "number")) < 0.6
    assert min(probabilities[name] for name in ("hum", "noise")) > 0.6
    output = capsys.readouterr().out
    assert f"{probabilities['strong']:.4f}  all  strong" in output
    assert "3 of 6 feature_configs kept" in output
    picture = (tmp_path / "feature_ranking.html").read_text()
    assert all(f">{name}<" in picture for name in ALL)

    selected = load_checked(str(tmp_path / "pipeline.config"))
    assert list(selected.model_config.feature_groups[0].feature_names) == ["tags", "strong", "number"]
    names = [getattr(feature, feature.WhichOneof("feature")).feature_name for feature in selected.feature_configs]
    assert names == ["tags", "strong", "number"]
    assert not selected.model_config.HasField("variational_dropout")


def test_keep_ranked_selects_within_each_group() -> None:
    config = load_checked(str(trained()))
    config.model_config.feature_groups.add(group_name="b", feature_names=["noise", "hum"], group_type="DEEP")
    config.model_config.feature_groups.add(group_name="c", feature_names=["spare"], group_type="DEEP")
    order = [RankedFeature("all", name, 0.5) for name in ("strong", "sequence_encoders[0]", "hum", *ALL[:2])]
    selected = keep_ranked(config, [*order, RankedFeature("b", "noise", 0.1), RankedFeature("b", "hum", 0.2)], topk=2)
    groups = {group.group_name: list(group.feature_names) for group in selected.model_config.feature_groups}
    assert groups == {"all": ["hum", "strong"], "b": ["noise", "hum"], "c": ["spare"]}


@pytest.mark.parametrize(
    ("old", "new", "flags", "status", "message"),
    [
        (
            "variational_dropout {\n    regularization_lambda: 1.0\n  }",
            "",
            [],
            2,
            "has no model_config.variational_dropout",
        ),
        ("", "", ["--topk", "0"], 2, "argument --topk: '0' is not a whole number from 1 to"),
        ('feature_names: "spare"', "", [], 1, "feature_dropout.dropouts.0.logits: [6] in the checkpoint, [5] in the"),
    ],
)
def test_invalid_selection_is_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, flags: list[str], status: int, message: str
) -> None:
    text = trained().read_text()
    assert old in text
    (tmp_path / "my.config").write_text(text.replace(old, new))
    assert feature_selection.main(["--pipeline_config", str(tmp_path / "my.config"), *flags]) == status
    assert message in capsys.readouterr().err
