from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from torchrec import KeyedJaggedTensor, KeyedTensor

from tzrec.data.atomic import write_text
from tzrec.data.batch import BASE, Batch
from tzrec.data.parts.directory import MANIFEST
from tzrec.errors import UsageError
from tzrec.serving.output import OutputColumns, OutputDirectory, features_text

OUTPUTS = {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor([3.0, 4.0])}
BATCH = Batch(rows=2, reserved=pa.table({"user": ["x", "y"], "clk": [0, 1]}))


def test_output_columns_table_has_outputs_and_reserved_columns() -> None:
    table = OutputColumns().table(OUTPUTS, BATCH)
    assert table.to_pydict() == {"a": [3.0, 4.0], "b": [1.0, 2.0], "user": ["x", "y"], "clk": [0, 1]}
    assert OutputColumns(("b",)).table(OUTPUTS, Batch(rows=2)).to_pydict() == {"b": [1.0, 2.0]}


def test_output_columns_with_invalid_name_raises() -> None:
    with pytest.raises(UsageError, match='no output "bb"'):
        OutputColumns(("bb",)).table(OUTPUTS, BATCH)
    with pytest.raises(UsageError, match='"a" is also an output'):
        OutputColumns().table(OUTPUTS, Batch(rows=2, reserved=pa.table({"a": [1, 2]})))


def test_features_text_lists_values_of_each_row() -> None:
    batch = Batch(
        rows=2,
        sparse={BASE: KeyedJaggedTensor(["u", "t"], torch.tensor([7, 8, 1, 2]), lengths=torch.tensor([1, 1, 2, 0]))},
        dense={BASE: KeyedTensor(["p"], [2], torch.tensor([[0.5, 1.0], [2.0, 3.25]]))},
    )
    assert features_text(batch).to_pylist() == ["u:7 | t:1,2 | p:0.5,1", "u:8 | t: | p:2,3.25"]


def test_output_directory_publish_renames_temporary(tmp_path: Path) -> None:
    output = OutputDirectory(f"{tmp_path}/out/")
    (tmp_path / "out").mkdir()  # an empty directory is replaced
    output.ensure_unoccupied()
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "old").touch()
    output.create()
    assert [path.name for path in (tmp_path / "out.partial").iterdir()] == ["old"]  # of one that ended early
    output.clear()
    (tmp_path / "out.partial" / "part-0").touch()
    output.publish()
    assert {path.name for path in tmp_path.rglob("*")} == {"out", "part-0", "_SUCCESS"}


@pytest.mark.parametrize("name", ["full", "full/file"])
def test_ensure_unoccupied_of_nonempty_path_raises(tmp_path: Path, name: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UsageError, match="not empty; remove it"):
        OutputDirectory(f"{tmp_path}/{name}").ensure_unoccupied()


def test_output_directory_discard_removes_temporary(tmp_path: Path) -> None:
    output = OutputDirectory(f"{tmp_path}/out")
    output.create()
    output.discard()
    assert list(tmp_path.iterdir()) == []


def test_output_directory_of_two_predictions_is_refused_and_kept(tmp_path: Path) -> None:
    first, second = OutputDirectory(f"{tmp_path}/out"), OutputDirectory(f"{tmp_path}/out")
    first.create()
    (tmp_path / "out.partial" / "part-0").touch()
    with pytest.raises(UsageError, match=r"another prediction is writing to it \(draft .*out\.partial\)"):
        second.create()
    second.discard()
    first.publish()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"part-0", "_SUCCESS"}
    with pytest.raises(UsageError, match="is not empty"):
        second.ensure_unoccupied()


def test_output_directory_occupied_meanwhile_raises_and_removes_draft(tmp_path: Path) -> None:
    output = OutputDirectory(f"{tmp_path}/out")
    output.create()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-0").write_text("of another host")
    with pytest.raises(UsageError, match="is not empty"):
        output.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "part-0").read_text() == "of another host"


def test_remote_output_directory_is_written_in_place_and_marked_when_complete() -> None:
    output = OutputDirectory("memory://scores/in-place")
    assert output.draft == output.path
    output.create()
    write_text(output.path / MANIFEST, "{}")
    write_text(output.path / "part-0.csv", "x")
    output.ensure_unoccupied()  # it can be continued
    output.publish()
    with pytest.raises(UsageError, match=r"memory://scores/in-place is not empty"):
        output.ensure_unoccupied()
    output.discard()
