"""Permutation importance of the features of a model trained on planted signal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.fixtures.planted_signal import rows, trained
from tzrec.config.check import load_checked
from tzrec.data.batch import BASE
from tzrec.protos.feature_pb2 import IdFeature
from tzrec.run import importance
from tzrec.run.importance import Importance, Importances
from tzrec.run.session import Session
from tzrec.tools import feature_importance

USELESS = ("noise", "hum", "spare")


def test_importance_ranks_features_by_planted_signal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """4000 rows in chunks of 1500; numbers with and without embedding, ids, and weighted ids."""
    monkeypatch.setattr(importance, "CHUNK_ROWS", 1500)
    assert feature_importance.main(["--pipeline_config", str(trained()), "--num_repeats", "3"]) == 0
    report = json.loads((trained().parent / "feature_importance.json").read_text())
    assert report["rows"] == 4000
    auc = {item["feature"]: item["drops"]["auc"] for item in report["features"]}
    loss = {item["feature"]: item["drops"]["binary_cross_entropy"]["mean"] for item in report["features"]}
    assert sorted(auc) == sorted(["noise", "tags", "hum", "strong", "number", "spare"])
    means = [drop["mean"] for drop in auc.values()]
    assert means == sorted(means, reverse=True)
    assert next(iter(auc)) == "strong"
    assert auc["strong"]["mean"] > 0.2
    assert loss["strong"] > 0.2
    for name in ("tags", "number"):
        assert auc[name]["mean"] > 0.01 > 3 * auc[name]["spread"]
        assert loss[name] > 0.01
    assert all(abs(auc[name]["mean"]) < 0.002 and abs(loss[name]) < 0.002 for name in USELESS)
    out = capsys.readouterr().out
    assert f"\nstrong      {auc['strong']['mean']:+.5f} +- {auc['strong']['spread']:.5f}" in out
    assert "4,000 rows, 3 shuffles each" in out


def test_baseline_equals_the_evaluation_and_shuffles_are_reproducible() -> None:
    config = load_checked(str(trained()))
    first, second = (importance.feature_importance(config, num_permutations=2) for _ in range(2))
    lines = (trained().parent / "train_eval_result_v2.txt").read_text().splitlines()
    assert first.metrics["auc"] == pytest.approx(json.loads(lines[-1])["auc"], abs=1e-6)
    assert [item.drops for item in first.features] == [item.drops for item in second.features]
    assert len(set(first.features[0].drops["auc"])) == 2  # two shuffles


def test_importance_reads_other_data_and_fewer_rows(tmp_path: Path) -> None:
    pq.write_table(rows(1000, 3), tmp_path / "x.parquet")
    edits = {"eval_input_path": str(tmp_path / "x.parquet"), "eval_config.num_steps": 2}
    assert importance.feature_importance(load_checked(str(trained()), edits), num_permutations=1).num_rows == 512


def test_permutation_keeps_labels_and_groups_of_metrics() -> None:
    """The groups of grouped metrics may come from the permuted feature."""
    with Session.new(load_checked(str(trained()))) as session:
        session.build()
        (batch,) = importance.read_chunks(session)
        ((permuted, original),) = importance.permute(session, [batch], ["strong"], 0)
    assert original is batch
    before, after = (rows.sparse[BASE]["strong"].values() for rows in (batch, permuted))
    assert not torch.equal(before, after)
    assert torch.equal(before.sort().values, after.sort().values)
    assert torch.equal(batch.sparse[BASE]["noise"].values(), permuted.sparse[BASE]["noise"].values())
    assert batch.labels is permuted.labels


def test_features_of_a_sequence_group_are_permuted_together() -> None:
    config = load_checked(str(trained()))
    sequence = config.feature_configs.add().sequence_feature
    sequence.sequence_name = "s"
    for name in "xyz":
        sequence.features.add().id_feature.CopyFrom(
            IdFeature(feature_name=name, expression=f"item:{name}", num_buckets=9, embedding_dim=4)
        )
    (group,) = config.model_config.feature_groups
    group.feature_names[:] = ["spare"]
    group.sequence_groups.add(feature_names=["strong", "s__y", "s__x"])
    encoder = group.sequence_encoders.add().din_encoder
    encoder.input = "all"
    encoder.attn_mlp.hidden_units.append(4)
    with Session.new(config) as session:
        session.build()
        assert importance.permutation_units(session) == {
            "strong": ["strong"],
            "spare": ["spare"],
            "s": ["s__x", "s__y"],
        }


def test_importances_write_spread_and_null_for_undefined_metrics(tmp_path: Path) -> None:
    importances = Importances(
        {"auc": 0.7, "mrr": np.nan},
        9,
        [Importance("a", {"auc": [0.1, 0.3], "mrr": [np.nan, np.nan]}), Importance("b", {"auc": [0.1], "mrr": [0.0]})],
    )
    importances.write(tmp_path / "x.json")
    a, b = json.loads((tmp_path / "x.json").read_text())["features"]
    assert a["drops"]["auc"] == {"mean": pytest.approx(0.2), "spread": pytest.approx(0.2 / 2**0.5)}
    assert a["drops"]["mrr"] == {"mean": None, "spread": None}
    assert b["drops"]["auc"] == {"mean": 0.1, "spread": 0}
    assert importances.table().splitlines()[1].split() == ["a", "+0.20000", "+-", "0.14142", "+nan", "+-", "nan"]
