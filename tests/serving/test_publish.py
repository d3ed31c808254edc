from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.fixtures.small_model import small_config, small_encoder, small_model
from tzrec.errors import PackageError, UsageError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving import publish as module
from tzrec.serving.package_manifest import PackageManifest
from tzrec.serving.publish import publish
from tzrec.serving.servable import Servable
from tzrec.serving.trained_model import TrainedModel, precision_of


def trained() -> TrainedModel:
    return TrainedModel(small_model(), small_config(), small_encoder().features, 7)


class FakePackage:
    """Replaces compiling and loading: runs the servable itself, with an error added to one output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: float) -> None:
        self.error = error
        monkeypatch.setattr(module, "compile_servable", self.compile)
        monkeypatch.setattr(module, "Package", lambda directory, manifest: self)

    def compile(self, servable: Servable, path: Path) -> None:
        self.servable, self.signature = servable, servable.signature
        path.write_bytes(b"code")

    def program(self) -> FakePackage:
        return self

    def predict(self, inputs: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        outputs = self.servable.predict(inputs)
        return outputs | {"probs_ctr": outputs["probs_ctr"] + self.error}


def test_publish_into_empty_directory_records_self_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePackage(monkeypatch, 0.0)
    (tmp_path / "export").mkdir()  # an empty directory is replaced
    manifest = publish(trained(), tmp_path / "export")[""]
    assert manifest.self_test <= 1e-6
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_publish_copies_additional_config_into_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePackage(monkeypatch, 0.0)
    publish(trained(), tmp_path / "export", additional={"cand_seq_pk": "user:clicks"})
    assert PackageManifest.read(tmp_path / "export").additional == {"cand_seq_pk": "user:clicks"}


def test_publish_with_failing_self_test_raises_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakePackage(monkeypatch, 1e-3)
    with pytest.raises(PackageError, match=r"max \|package - checkpoint\| = 1.0e-03, more than 1e-06"):
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
        publish(trained(), tmp_path / "export", (tmp_path / name,))
    assert not (tmp_path / "export").exists()


def test_precision_of_config_ignores_train_config() -> None:
    config = EasyRecConfig()
    config.train_config.mixed_precision = "BF16"
    assert precision_of(config) == "FP32"
