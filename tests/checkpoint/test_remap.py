"""Renamed parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tzrec.checkpoint.remap import read_map, stored_names
from tzrec.errors import CheckpointError


def test_read_map_skips_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_text("# comment\n\ntower.weight  old_tower.w\n")
    assert read_map(path) == {"tower.weight": "old_tower.w"}


@pytest.mark.parametrize("line", ["lonely", "one two three"])
def test_read_map_with_malformed_line_raises(tmp_path: Path, line: str) -> None:
    path = tmp_path / "names"
    path.write_text(f"a b\n{line}\n")
    with pytest.raises(CheckpointError, match=f'names:2: expected "current_name old_name"; received "{line}"'):
        read_map(path)


def test_read_map_of_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="fine_tune_ckpt_param_map"):
        read_map(tmp_path / "nowhere")


def test_stored_names_include_optimizer_state() -> None:
    names = ["a.weight", "a.weight.exp_avg", "a.weights", "b"]
    assert stored_names(names, {"a.weight": "x"}) == {"a.weight": "x", "a.weight.exp_avg": "x.exp_avg"}
