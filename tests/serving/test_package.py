from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.serving.small import OUTPUTS, STEP, expected, exported, small_batch, small_rows
from tzrec.checkpoint.manifest import FileRecord
from tzrec.errors import PackageError
from tzrec.serving.package import MANIFEST, PackageManifest, open_package
from tzrec.serving.signature import Signature
from tzrec.serving.weights import map_weights

STEPS = [
    *(f"clicks__{name}.{what}" for name in ("half", "item", "tags") for what in ("values", "lengths", "key_lengths")),
    *("clicks__price.values", "clicks__price.lengths", "clicks.positions", "tags.positions"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A package that may be damaged."""
    return Path(shutil.copytree(exported(), tmp_path / "package"))


@pytest.mark.parametrize("rows", [1, 7, 8192])
def test_says_what_the_trained_model_says(rows: int) -> None:
    package, table = open_package(exported()), small_rows(rows)
    received = package.predict(package.signature.from_batch(small_batch(table)))
    assert list(received) == OUTPUTS
    for name, value in expected(table).items():
        assert received[name].shape == value.shape
        # 2e-6 for outputs up to 1, relative to the greatest beyond: this model's logits reach 10
        torch.testing.assert_close(received[name], value, atol=2e-6 * max(1.0, float(value.abs().max())), rtol=0)


def test_no_ids_at_all() -> None:
    """Every bag empty: the pooled vectors are zero, whatever the pooling."""
    package = open_package(exported())
    features = len(package.signature.sparse)
    empty = (torch.zeros(0, dtype=torch.int64), torch.zeros(features, 2, dtype=torch.int32), torch.zeros(0))
    dense = torch.tensor([[0.5, 1.0, 2.0]] * 2)
    received = package.predict((*empty, dense, *without_steps(package.signature, rows=2)))
    assert all(torch.isfinite(value).all() and torch.equal(value[0], value[1]) for value in received.values())


def without_steps(signature: Signature, rows: int) -> list[torch.Tensor]:
    """The inputs of sequences that have no step in any row; each group has one empty place all the same."""
    made = []
    for told in signature.sequences.described().items():
        name, (dtype, shape) = told
        sizes = [rows if size == "B" else size if isinstance(size, int) else int("positions" in name) for size in shape]
        made.append(torch.zeros(sizes, dtype=getattr(torch, dtype)))
    return made


def test_an_id_beyond_its_table_is_refused() -> None:
    package = open_package(exported())
    values, *others = package.signature.from_batch(small_batch(small_rows(3)))
    values = values.clone()
    values[0] = 10**6
    with pytest.raises(RuntimeError, match="out of bounds"):
        package.predict((values, *others))


def test_manifest() -> None:
    value = json.loads((exported() / MANIFEST).read_text())
    assert (value["model"], value["step"], value["precision"]) == ("mmoe", STEP, "FP32")
    assert [each["name"] for each in value["inputs"]] == ["values", "lengths", "weights", "dense", *STEPS]
    assert [(each["name"], each["shape"]) for each in value["outputs"]] == [
        ("logits_ctr", []),
        ("logits_kind", [3]),
        ("probs_ctr", []),
        ("probs_kind", [3]),
        ("y_ltv", []),
    ]
    assert 0 <= value["self_test"] <= 1e-6
    names = {path.name for path in exported().iterdir()}
    assert set(value["files"]) == names - {MANIFEST}
    assert names == {
        "extra.txt",
        "features.json",
        "manifest.json",
        "model.pt2",
        "pipeline.config",
        "weights.safetensors",
    }


def test_weights_are_stored_as_they_are() -> None:
    """The tables lie under their own names; the FP16 one takes two bytes a number."""
    weights = map_weights(exported() / "weights.safetensors").tensors
    assert weights["tables.item_emb"].shape == (40, 6)
    assert weights["tables.half_emb"].dtype == torch.float16


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", ["model.pt2", "weights.safetensors", "pipeline.config", "features.json", "extra.txt"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [(flip, "does not match its checksum"), (truncate, "bytes instead of"), (Path.unlink, "is missing")],
)
def test_damage_is_named(copy: Path, name: str, damage: Callable[[Path], None], message: str) -> None:
    damage(copy / name)
    with pytest.raises(PackageError, match=f"{name} .*{message}"):
        open_package(copy)


def change(directory: Path, **values: object) -> None:
    path = directory / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 2, "versions": {"tzrec": "9.0.0"}}, "made with tzrec 9.0.0, newer than"),
        ({"versions": {"tzrec": "0.1.0", "torch": "99.1.0", "machine": "x86_64"}}, "torch 99.1.0, newer than"),
        ({"versions": {"tzrec": "0.1.0", "torch": "2.0.0", "machine": "vax"}}, "machine code for vax"),
        ({"files": {"../outside": {"size": 1, "sha256": ""}}}, "outside the package"),
        ({"signature": None}, "manifest.json is damaged"),
    ],
)
def test_a_package_that_does_not_fit(copy: Path, values: dict[str, object], message: str) -> None:
    change(copy, **values)
    with pytest.raises(PackageError, match=message):
        open_package(copy)


def test_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"no manifest.json; `tzrec export` makes one"):
        open_package(tmp_path)


def test_a_manifest_that_is_cut_off(copy: Path) -> None:
    truncate(copy / MANIFEST)
    (copy / MANIFEST).write_text((copy / MANIFEST).read_text()[:100])
    with pytest.raises(PackageError, match=r"manifest.json is damaged"):
        PackageManifest.read(copy)


def test_weights_missing_from_a_package(copy: Path) -> None:
    """A file that is whole, but holds other weights than the machine code asks for."""
    shutil.copy(copy / "features.json", copy / "weights.safetensors")
    files = {path.name: FileRecord.of(path).__dict__ for path in copy.iterdir() if path.name != MANIFEST}
    change(copy, files=files)
    with pytest.raises(PackageError, match=r"weights.safetensors is damaged"):
        open_package(copy)
