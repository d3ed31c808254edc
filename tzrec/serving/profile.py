"""Profile of the training data in a package: a copy of the one that the training run wrote beside its checkpoint."""

from __future__ import annotations

from tzrec.checkpoint.store import PROFILE
from tzrec.serving.draft import PackageDraft

KIND = "profile"
"""Key of the profile among the contents of a package."""


def add_profile(draft: PackageDraft) -> None:
    """Add the profile, if the directory of the checkpoint has one: a run of an older tzrec wrote none."""
    model_dir = draft.trained.model_dir
    if model_dir is not None and (model_dir / PROFILE).exists():
        draft.add(KIND, PROFILE, (model_dir / PROFILE).read_text())
