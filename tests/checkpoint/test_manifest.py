"""Manifest of a checkpoint: one changed bit is found, and no content of a file leads to an error of another library."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.manifest import NAME, CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.data.batch import Cursor
from tzrec.errors import CheckpointError

MANIFEST = CheckpointManifest(
    Position(7, Cursor(1, 64, 8)),
    {"0": "cmFuZG9t"},
    "ab",
    {"tzrec": "1"},
    {"factor": 0.5},
    {"plan": FileRecord(2, "cd")},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    MANIFEST.write(tmp_path)
    return tmp_path / NAME


def test_manifest_read_of_written_one_is_equal(path: Path) -> None:
    assert CheckpointManifest.read(path.parent) == MANIFEST


def test_manifest_read_with_any_flipped_bit_raises(path: Path) -> None:
    data = path.read_bytes()
    for at in range(len(data)):
        for bit in range(8):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            with pytest.raises(CheckpointError):
                CheckpointManifest.read(path.parent)


def test_manifest_read_of_format_1_needs_no_checksum(path: Path) -> None:
    value = json.loads(path.read_text())
    del value["sha256"]
    path.write_text(json.dumps(value | {"format": 1}, indent=1))
    assert CheckpointManifest.read(path.parent) == MANIFEST
    path.write_text(json.dumps(value, indent=1))
    with pytest.raises(CheckpointError, match="does not match its own checksum"):
        CheckpointManifest.read(path.parent)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b"[" * 200_000, "is no JSON"),
        (b'{"format": 1, "position": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[1]", "no JSON object"),
        (b"null", "no JSON object"),
        (b"{}", "no valid format number"),
        (b'{"format": "1"}', "no valid format number"),
        (b'{"format": 0}', "no valid format number"),
        (b'{"format": 1}', "KeyError 'position'"),
        (b'{"format": 1, "position": 3, "files": {}}', "TypeError"),
        (b'{"format": ' + b"9" * 5000 + b"}", "is no JSON"),
    ],
)
def test_manifest_read_of_other_content_raises(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        CheckpointManifest.read(path.parent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position": {"step": 10**400, "cursor": {"epoch": 0, "row": 0, "window": 1}, "first_epoch": 0}}, "the step"),
        ({"position": {"step": 1.5, "cursor": {"epoch": 0, "row": 0, "window": 1}, "first_epoch": 0}}, "the step"),
        ({"position": {"step": 1, "cursor": {"epoch": 0, "row": -1, "window": 1}, "first_epoch": 0}}, "the row"),
        ({"files": {"../outside": {"size": 1, "sha256": ""}}}, r"outside the checkpoint: \.\./outside"),
        ({"files": {"/etc/passwd": {"size": 1, "sha256": ""}}}, "outside the checkpoint: /etc/passwd"),
        ({"files": {"plan": {"size": -1, "sha256": ""}}}, "no valid size and checksum"),
        ({"files": [1]}, "AttributeError"),
        ({"numbers": {"factor": "much"}}, "could not convert"),
        ({"unknown": 1}, "unexpected keyword argument"),
    ],
)
def test_manifest_read_of_other_values_raises(path: Path, changes: dict[str, object], message: str) -> None:
    value = json.loads(path.read_text())
    del value["sha256"]
    path.write_text(json.dumps(value | {"format": 1} | changes))
    with pytest.raises(CheckpointError, match=message):
        CheckpointManifest.read(path.parent)


def test_manifest_read_of_directory_raises(path: Path) -> None:
    path.unlink()
    path.mkdir()
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged: it cannot be read: Is a directory"):
        CheckpointManifest.read(path.parent)


def test_manifest_read_below_file_raises(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt-9").write_text("x")
    with pytest.raises(CheckpointError, match=r"has no manifest\.json"):
        CheckpointManifest.read(tmp_path / "model.ckpt-9")


def test_compare_names_every_kind_of_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "plan"
    file.write_text("{}")
    record = FileRecord.of(file)
    assert record.compare(file, "plan") == ""
    file.write_text("[]")
    assert record.compare(file, "plan") == "plan does not match its checksum"
    file.write_text("{ }")
    assert record.compare(file, "plan") == "plan has 3 bytes instead of 2"
    file.unlink()
    assert record.compare(file, "plan") == "plan is missing"
    file.symlink_to(tmp_path / "nowhere")
    assert record.compare(file, "plan") == "plan is missing"
    file.unlink()
    os.mkdir(file)
    assert record.compare(file, "plan") == "plan is a directory"

    def refuse(path: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    assert record.compare(tmp_path / "other", "plan") == "plan cannot be read: Permission denied"
