from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.small_model import exported_package
from tzrec.errors import PackageError
from tzrec.serving.package import WEIGHTS
from tzrec.serving.portable import PortableModel
from tzrec.serving.weights import map_weights

PATH = "model.export.json"


def objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(item for inner in value.values() for item in objects(inner))]
    return [item for inner in value for item in objects(inner)] if isinstance(value, list) else []


def test_portable_program_has_no_weights_and_no_source_code() -> None:
    """The file is JSON, so that it holds no pickle; its size does not depend on the tables."""
    text = (exported_package() / PATH).read_text()
    assert len(text) < 500_000 and "servable.py" not in text and "stack_trace" not in text
    assert json.loads(text)["guards_code"] == []


def rename(key: str, text: str) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        entry = next(entry for entry in objects(value) if isinstance(entry.get(key), str))
        entry[key] = text

    return change


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("target", "torch.hub.load"),
        ("target", "torch.ops.aten.__class__.mro"),
        ("target", "_operator.attrgetter"),
        ("target", "os.system"),
        ("name", "x = __import__('os').system('true') #"),
        ("expr_str", "__import__('os').system('true')"),
        ("expr_str", "exec('s1')"),
        ("parameter_name", 'weight"]; import os; x["'),
    ],
)
def test_portable_program_with_foreign_code_raises(tmp_path: Path, key: str, text: str) -> None:
    value = json.loads((exported_package() / PATH).read_text())
    rename(key, text)(value)
    (tmp_path / PATH).write_text(json.dumps(value))
    with pytest.raises(PackageError, match="which no exported program has"):
        PortableModel(tmp_path / PATH, {})


@pytest.mark.parametrize("data", [b"{", b"\xff\xff", pickle.dumps([1]), b"[" * 100_000])
def test_portable_program_that_is_no_json_raises(tmp_path: Path, data: bytes) -> None:
    (tmp_path / PATH).write_bytes(data)
    with pytest.raises(PackageError, match=f"{PATH} is damaged"):
        PortableModel(tmp_path / PATH, {})


def test_portable_program_without_a_weight_names_it() -> None:
    weights = dict(map_weights(exported_package() / WEIGHTS).tensors)
    with pytest.raises(PackageError, match=r"no weight tables, which model\.export\.json needs"):
        PortableModel(exported_package() / PATH, weights)


def test_portable_program_of_newer_format_raises(tmp_path: Path) -> None:
    value = json.loads((exported_package() / PATH).read_text())
    value["schema_version"]["major"] += 1
    (tmp_path / PATH).write_text(json.dumps(value))
    weights = {entry[key]: 0 for entry in objects(value) for key in ("parameter_name", "buffer_name") if key in entry}
    tensors = {name: next(iter(map_weights(exported_package() / WEIGHTS).tensors.values())) for name in weights}
    with pytest.raises(PackageError, match=r"cannot be read by torch .*Export it again with this torch"):
        PortableModel(tmp_path / PATH, tensors)
