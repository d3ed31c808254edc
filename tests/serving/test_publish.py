from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.fixtures.small_model import expected_predictions, small_config, small_encoder, small_model, small_rows
from tzrec.errors import ConfigError, PackageError, UsageError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving import publish as module
from tzrec.serving.package_manifest import PackageManifest
from tzrec.serving.predictor import Predictor
from tzrec.serving.publish import Extras, publish
from tzrec.serving.sample import SampleRequest, SampleRows
from tzrec.serving.servable import Servable
from tzrec.serving.trained_model import TrainedModel, precision_of
from tzrec.torchrec_adapter import ProgramFormatError


def trained() -> TrainedModel:
    return TrainedModel(small_model(), small_config(), small_encoder().features, 7)


class FakePackage:
    """Replaces tracing, compiling and loading: runs the servable itself, with an error added to one output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: float) -> None:
        self.error = error
        monkeypatch.setattr(module, "trace_servable", self.trace)
        monkeypatch.setattr(module, "write_portable", lambda program, path: path.write_text("{}"))
        monkeypatch.setattr(module, "compile_program", lambda program, path: path.write_bytes(b"code"))
        monkeypatch.setattr(module, "Package", lambda directory, manifest, is_portable=False: self)

    def trace(self, servable: Servable) -> None:
        self.servable, self.signature = servable, servable.signature

    def program(self) -> FakePackage:
        return self

    def predict(self, inputs: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        outputs = self.servable.predict(inputs)
        return {name: value + self.error * (name == "probs_ctr") for name, value in outputs.items()}


def test_publish_into_empty_directory_records_self_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePackage(monkeypatch, 0.0)
    (tmp_path / "export").mkdir()  # an empty directory is replaced
    manifest = publish(trained(), tmp_path / "export")[""]
    assert manifest.self_test <= 1e-6
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_publish_copies_additional_config_into_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePackage(monkeypatch, 0.0)
    publish(trained(), tmp_path / "export", Extras(additional={"cand_seq_pk": "user:clicks"}))
    assert PackageManifest.read(tmp_path / "export").additional == {"cand_seq_pk": "user:clicks"}


def test_publish_with_failing_self_test_raises_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakePackage(monkeypatch, 1e-3)
    with pytest.raises(PackageError, match=r"max \|compiled - checkpoint\| = 1.0e-03, more than 1e-05"):
        publish(trained(), tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_publish_in_half_precision_allows_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePackage(monkeypatch, 1e-3)
    half = trained()
    half.config.export_config.mixed_precision = "BF16"
    manifest = publish(half, tmp_path / "export")[""]
    assert manifest.precision == "BF16"
    assert 1e-3 < manifest.self_test < 0.1  # the products themselves are in BF16 as well


def test_publish_into_nonempty_directory_raises_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(UsageError, match="exists and is not empty"):
        publish(trained(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(("name", "message"), [("missing", "does not exist"), ("model.pt2", "already has a file")])
def test_publish_with_invalid_asset_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    FakePackage(monkeypatch, 0.0)
    (tmp_path / "model.pt2").write_text("mine")
    with pytest.raises(PackageError, match=message):
        publish(trained(), tmp_path / "export", Extras((tmp_path / name,)))
    assert not (tmp_path / "export").exists()


def test_precision_of_config_ignores_train_config() -> None:
    config = EasyRecConfig()
    config.train_config.mixed_precision = "BF16"
    assert precision_of(config) == "FP32"


def test_publish_with_tolerance_of_config_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePackage(monkeypatch, 1e-3)
    model = trained()
    model.config.export_config.self_test_tolerance = 0.01
    assert publish(model, tmp_path / "wide")[""].self_test == pytest.approx(1e-3, abs=1e-6)
    model.config.export_config.self_test_tolerance = 0.0001
    with pytest.raises(PackageError, match=r"more than 1e-04 \(export_config.self_test_tolerance\)"):
        publish(model, tmp_path / "narrow")


def test_publish_with_output_columns_keeps_only_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePackage(monkeypatch, 0.0)
    model = trained()
    model.config.export_config.output_columns[:] = ["y_ltv", "probs_ctr"]
    manifest = publish(model, tmp_path / "export")[""]
    assert [output.name for output in manifest.programs["model"].outputs] == ["probs_ctr", "y_ltv"]


def test_publish_with_unknown_output_column_raises_before_compiling(tmp_path: Path) -> None:
    model = trained()
    model.config.export_config.output_columns[:] = ["probs_ctr", "prob_kind"]
    with pytest.raises(ConfigError, match=r'output_columns\[1\].*"prob_kind" is no output.*"probs_kind"'):
        publish(model, tmp_path / "export")


def test_publish_with_sample_keeps_request_and_scores_that_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakePackage(monkeypatch, 0.0)
    rows = small_rows(20).combine_chunks().to_batches()[0]
    manifest = publish(trained(), tmp_path / "export", Extras(sample=SampleRows(rows, "rows.parquet", True)))[""]
    assert manifest.contents["sample"].about == {"source": "rows.parquet", "items": 8}
    sample = SampleRequest.read(tmp_path / "export", manifest)
    assert sample is not None
    assert sample.request["user"]["user"] == "u0" and len(sample.request["items"]) == 8
    assert set(sample.request["items"][0]) == {"item", "tags", "price"}
    repeated = small_rows(20).slice(0, 8)
    for name, value in sample.request["user"].items():
        column = repeated.column(name)
        repeated = repeated.set_column(repeated.column_names.index(name), name, pa.array([value] * 8, column.type))
    for name, expected in expected_predictions(repeated).items():
        np.testing.assert_allclose(np.array(sample.outputs[name]), expected.numpy(), atol=1e-6, rtol=1e-6)
    scores = sample.score(Predictor(Servable.from_model(small_model()), small_config(), small_encoder()), 17)
    assert scores.num_rows == 17
    np.testing.assert_allclose(scores["probs_ctr"].to_numpy()[8:16], sample.outputs["probs_ctr"], atol=1e-6)


def test_publish_writes_fg_json_of_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePackage(monkeypatch, 0.0)
    publish(trained(), tmp_path / "export")
    features = json.loads((tmp_path / "export" / "fg.json").read_text())["features"]
    by_name = {feature.get("feature_name", feature.get("sequence_name")): feature for feature in features}
    assert by_name["user"]["hash_bucket_size"] == 50 and by_name["user"]["expression"] == "user:user"
    assert [feature["feature_name"] for feature in by_name["clicks"]["features"]] == ["item", "tags", "half", "price"]


def test_publish_of_program_that_torch_cannot_write_warns_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    FakePackage(monkeypatch, 0.0)

    def fail(program: object, path: Path) -> None:
        raise ProgramFormatError("a loop with autocast")

    monkeypatch.setattr(module, "write_portable", fail)
    manifest = publish(trained(), tmp_path / "export")[""]
    assert "runs on machines of this kind only: a loop with autocast" in caplog.text
    scorers = [item["scorer"] for item in manifest.contents["self_test"].about["measurements"]]
    assert scorers == ["checkpoint", "compiled"] and "model.export.json" not in manifest.files
