from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.fixtures.small_model import exported_package, saved_model
from tests.serving.test_draft import new_draft
from tzrec.profile.training_profile import TrainingProfile
from tzrec.serving.draft import PackageDraft
from tzrec.serving.package_manifest import PackageManifest
from tzrec.serving.profile import add_profile


def test_add_profile_copies_that_of_the_checkpoint() -> None:
    manifest = PackageManifest.read(exported_package())
    assert manifest.contents["profile"].file == "profile.json" and "profile.json" in manifest.files
    assert (exported_package() / "profile.json").read_text() == (saved_model() / "profile.json").read_text()
    assert TrainingProfile.read(exported_package() / "profile.json").num_rows == 256


def test_add_profile_of_a_run_without_one_adds_nothing(tmp_path: Path) -> None:
    draft = new_draft(tmp_path)
    for model_dir in (None, tmp_path):
        add_profile(PackageDraft(tmp_path, replace(draft.trained, model_dir=model_dir)))
    assert list(tmp_path.iterdir()) == []
