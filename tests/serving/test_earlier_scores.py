from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tzrec.data.parts.directory import MANIFEST
from tzrec.data.parts.report import BAD_ROWS
from tzrec.errors import UsageError
from tzrec.serving.earlier_scores import SUCCESS, EarlierScores


def write_scores(folder: Path, **more: Any) -> EarlierScores:
    """Write an output of two parts, one of them in a folder; returns it as read."""
    (folder / "dt=1").mkdir(parents=True)
    (folder / "dt=1" / "part-000000-a.csv").write_text("a")
    (folder / "part-000001-b.csv").write_text("b")
    parts = [{"name": "dt=1/part-000000-a", "rows": 1}, {"name": "part-000001-b", "rows": 1}]
    manifest = {"complete": True, "file_format": "csv", "inputs": [], "parts": parts, **more}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    (folder / SUCCESS).touch()
    scores = EarlierScores.read(folder)
    assert scores is not None
    return scores


@pytest.mark.parametrize("has_links", [True, False])
def test_add_to_gives_a_directory_the_parts_and_the_bad_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    scores, draft = write_scores(tmp_path / "out"), tmp_path / "draft"
    (tmp_path / "out" / BAD_ROWS).write_text('{"row": 1}\n')
    draft.mkdir()
    (draft / BAD_ROWS).write_text('{"row": 2}\n')
    scores.add_to(draft)
    assert (draft / "dt=1" / "part-000000-a.csv").read_text() == "a"
    assert (draft / "part-000001-b.csv").read_text() == "b"
    assert (draft / "part-000001-b.csv").stat().st_nlink == (2 if has_links else 1)
    assert (draft / BAD_ROWS).read_text() == '{"row": 1}\n{"row": 2}\n'
    assert not (draft / MANIFEST).exists() and not (draft / SUCCESS).exists()


def test_add_to_after_another_process_has_written_is_refused(tmp_path: Path) -> None:
    scores = write_scores(tmp_path / "out")
    (tmp_path / "out" / MANIFEST).write_text('{"complete": true}')
    with pytest.raises(UsageError, match=r"another process has written to .*out meanwhile; run the command again"):
        scores.add_to(tmp_path / "draft")
    assert not (tmp_path / "draft").exists()


@pytest.mark.parametrize("change", ["manifest", "marker", "ray"])
def test_read_of_an_incomplete_output_is_refused(tmp_path: Path, change: str) -> None:
    write_scores(tmp_path / "out")
    if change == "manifest":
        (tmp_path / "out" / MANIFEST).write_text("{")
    elif change == "marker":
        (tmp_path / "out" / SUCCESS).unlink()
    else:  # written with --ray, whose parts have other names
        (tmp_path / "out" / MANIFEST).write_text('{"complete": true, "parts": [], "inputs": []}')
    with pytest.raises(UsageError, match="is not the complete output of a prediction"):
        EarlierScores.read(tmp_path / "out")
    assert EarlierScores.read(tmp_path / "nothing") is None
