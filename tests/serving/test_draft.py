from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.small_model import small_config
from tzrec.errors import PackageError
from tzrec.serving.draft import PackageDraft
from tzrec.serving.package_manifest import Content, PackageManifest
from tzrec.serving.trained_model import TrainedModel


def new_draft(directory: Path) -> PackageDraft:
    return PackageDraft(directory, TrainedModel(None, small_config(), {}, 7))  # type: ignore[arg-type]


def test_draft_add_writes_text_bytes_and_files(tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("from a file")
    (tmp_path / "package").mkdir()
    draft = new_draft(tmp_path / "package")
    draft.add("fg", "fg.json", "text")
    draft.add("sample", "sample.bin", b"\x00", {"rows": 3})
    draft.add("profile", "profile.json", tmp_path / "profile")
    draft.add("quantization", about={"data_type": "INT8"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "package").iterdir()} == {
        "fg.json": b"text",
        "sample.bin": b"\x00",
        "profile.json": b"from a file",
    }
    assert draft.contents["sample"] == Content("sample.bin", {"rows": 3})
    assert draft.contents["quantization"] == Content("", {"data_type": "INT8"})


@pytest.mark.parametrize("name", ["fg.json", "manifest.json"])
def test_draft_add_of_existing_file_raises(tmp_path: Path, name: str) -> None:
    draft = new_draft(tmp_path)
    draft.add("fg", "fg.json", "first")
    with pytest.raises(PackageError, match=f"already has a file {name}"):
        draft.add("profile", name, "second")
    assert (tmp_path / "fg.json").read_text() == "first"


def test_manifest_keeps_contents(tmp_path: Path) -> None:
    contents = {"sample": Content("sample.bin", {"rows": 3, "source": "synthetic"}), "note": Content("", {})}
    manifest = PackageManifest("mmoe", 7, "FP32", {}, contents=contents)
    manifest.write(tmp_path)
    assert PackageManifest.read(tmp_path).contents == contents
