from __future__ import annotations

import json
import logging
import platform
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.fixtures.small_model import OUTPUTS, STEP, expected_predictions, exported_package, small_batch, small_rows
from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.sealed_json import seal
from tzrec.errors import PackageError
from tzrec.serving.manifest_file import MANIFEST
from tzrec.serving.package import Program, installed_versions, open_package
from tzrec.serving.package_manifest import PackageManifest
from tzrec.serving.signature import Signature
from tzrec.serving.weights import map_weights

SEQUENCE_INPUTS = [
    *(
        f"clicks__{name}.{suffix}"
        for name in ("half", "item", "tags")
        for suffix in ("values", "lengths", "key_lengths")
    ),
    *("clicks__price.values", "clicks__price.lengths"),
    *("clicks.rows", "clicks.positions", "tags.rows", "tags.positions", "tags.padding"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A package that may be damaged."""
    return Path(shutil.copytree(exported_package(), tmp_path / "package"))


@pytest.mark.parametrize("rows", [1, 7, 8192])
def test_package_predicts_as_trained_model(rows: int) -> None:
    assert_predicts_as_trained_model(open_package(exported_package()).program(), rows)


def assert_predicts_as_trained_model(program: Program, num_rows: int) -> None:
    table = small_rows(num_rows)
    received = program.predict(program.signature.from_batch(small_batch(table)))
    assert list(received) == OUTPUTS
    for name, value in expected_predictions(table).items():
        assert received[name].shape == value.shape
        # 2e-6 for outputs up to 1, relative to the greatest above: the logits of this model reach 10
        torch.testing.assert_close(received[name], value, atol=2e-6 * max(1.0, float(value.abs().max())), rtol=0)


def test_package_without_ids_predicts_finite_values() -> None:
    """Pooled vectors of no ids are zero for every pooling."""
    package = open_package(exported_package()).program()
    features = len(package.signature.sparse)
    empty = (torch.zeros(0, dtype=torch.int64), torch.zeros(features, 2, dtype=torch.int32), torch.zeros(0))
    dense = torch.tensor([[0.5, 1.0, 2.0]] * 2)
    received = package.predict((*empty, dense, *without_elements(package.signature, rows=2)))
    assert all(torch.isfinite(value).all() and torch.equal(value[0], value[1]) for value in received.values())


def without_elements(signature: Signature, rows: int) -> list[torch.Tensor]:
    """The inputs of sequences without elements in any row; a padded group still has one position, which is empty."""
    inputs = []
    for name, (dtype, shape) in signature.sequences.types_and_shapes().items():
        sizes = [rows if size == "B" else size if isinstance(size, int) else int("padding" in name) for size in shape]
        inputs.append(torch.zeros(sizes, dtype=getattr(torch, dtype)))
    return inputs


def test_package_with_id_out_of_table_raises() -> None:
    package = open_package(exported_package()).program()
    values, *other_inputs = package.signature.from_batch(small_batch(small_rows(3)))
    values = values.clone()
    values[0] = 10**6
    with pytest.raises(RuntimeError, match="out of bounds"):
        package.predict((values, *other_inputs))


def test_manifest_of_one_program_lists_inputs_outputs_and_files() -> None:
    value = json.loads((exported_package() / MANIFEST).read_text())
    assert (value["model"], value["step"], value["precision"]) == ("mmoe", STEP, "FP32")
    assert [entry["name"] for entry in value["inputs"]] == ["values", "lengths", "weights", "dense", *SEQUENCE_INPUTS]
    assert [(entry["name"], entry["shape"]) for entry in value["outputs"]] == [
        ("logits_ctr", []),
        ("logits_kind", [3]),
        ("probs_ctr", []),
        ("probs_kind", [3]),
        ("y_ltv", []),
    ]
    assert value["format"] == 4
    assert list(value) == [
        *("format", "inputs", "model", "step", "checkpoint", "precision", "signature", "tables", "outputs"),
        *("additional", "self_test", "versions", "files", "contents", "sha256"),
    ]
    assert 0 <= value["self_test"] <= 1e-6
    names = {path.name for path in exported_package().iterdir()}
    assert set(value["files"]) == names - {MANIFEST}
    assert names == {
        "extra.txt",
        "features.json",
        "fg.json",
        "manifest.json",
        "model.export.json",
        "model.pt2",
        "pipeline.config",
        "profile.json",
        "runner.so",
        "sample_request.json",
        "sample_response.json",
        "weights.safetensors",
    }


def test_package_weights_keep_type_and_name_of_tables() -> None:
    """The FP16 table takes two bytes per number."""
    weights = map_weights(exported_package() / "weights.safetensors").tensors
    assert weights["tables.item_emb"].shape == (40, 6)
    assert weights["tables.half_emb"].dtype == torch.float16


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "name", ["model.pt2", "model.export.json", "weights.safetensors", "pipeline.config", "fg.json"]
)
@pytest.mark.parametrize(
    ("damage", "message"),
    [(flip, "does not match its checksum"), (truncate, "bytes instead of"), (Path.unlink, "is missing")],
)
def test_open_package_with_damaged_file_names_it(
    copy: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    damage(copy / name)
    with pytest.raises(PackageError, match=f"{name} .*{message}"):
        open_package(copy)


def change(directory: Path, **values: object) -> None:
    path = directory / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_text(seal(manifest | values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 5, "versions": {"tzrec": "9.0.0"}}, "exported with tzrec 9.0.0, newer than"),
        ({"files": {"../outside": {"size": 1, "sha256": ""}}}, "outside the package"),
        ({"signature": None}, "manifest.json is damaged"),
    ],
)
def test_open_package_with_invalid_manifest_raises(copy: Path, values: dict[str, object], message: str) -> None:
    change(copy, **values)
    with pytest.raises(PackageError, match=message):
        open_package(copy)


FOREIGN = [
    ({"torch": "99.1.0", "machine": platform.machine()}, "holds machine code for torch 99.1.0, newer than"),
    ({"torch": "2.0.0", "machine": "vax"}, "holds machine code for vax; this is"),
]


@pytest.mark.parametrize(("versions", "message"), FOREIGN)
def test_open_package_of_other_torch_or_machine_runs_exported_program(
    copy: Path, versions: dict[str, str], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    change(copy, versions={"tzrec": "0.1.0", **versions})
    with caplog.at_level(logging.WARNING, "tzrec"):
        package = open_package(copy)
    assert package.is_portable and len(caplog.records) == 1
    assert re.search(f"{message}.*running its exported program instead, which is slower", caplog.text)
    for num_rows in (1, 2, 100):
        assert_predicts_as_trained_model(package.program(), num_rows)


@pytest.mark.parametrize(("versions", "message"), FOREIGN)
def test_open_package_of_other_torch_or_machine_without_exported_program_raises(
    copy: Path, versions: dict[str, str], message: str
) -> None:
    files = {
        path.name: FileRecord.of(path).__dict__ for path in copy.iterdir() if path.suffix in (".pt2", ".safetensors")
    }
    change(copy, versions={"tzrec": "0.1.0", **versions}, files=files)
    with pytest.raises(PackageError, match=rf"{message}.*\. Export it again"):
        open_package(copy)


def test_open_package_on_processor_without_avx2_runs_exported_program(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(copy, versions={**installed_versions(), "machine": "x86_64"})
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert open_package(copy).is_portable


def test_open_package_whose_machine_code_cannot_be_loaded_runs_exported_program(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a library that needs a newer C library than this one."""
    names = zipfile.ZipFile(copy / "model.pt2").namelist()
    with (
        zipfile.ZipFile(exported_package() / "model.pt2") as source,
        zipfile.ZipFile(copy / "model.pt2", "w") as target,
    ):
        for name in names:
            target.writestr(name, b"no library" if name.endswith(".so") else source.read(name))
    renew_checksums(copy)
    with caplog.at_level(logging.WARNING, "tzrec"):
        package = open_package(copy)
    assert package.is_portable and "cannot be loaded" in caplog.text
    assert_predicts_as_trained_model(package.program(), 3)


def renew_checksums(directory: Path) -> None:
    files = {path.name: FileRecord.of(path).__dict__ for path in directory.iterdir() if path.name != MANIFEST}
    change(directory, files=files)


def test_open_package_with_swapped_outputs_raises(copy: Path) -> None:
    path = copy / MANIFEST
    text = path.read_text()
    path.write_text(text.replace("logits_ctr", "new").replace("probs_ctr", "logits_ctr").replace("new", "probs_ctr"))
    with pytest.raises(PackageError, match=r"manifest\.json is damaged: it does not match its own checksum"):
        open_package(copy)


def test_open_package_with_manifest_of_format_1_loads(copy: Path) -> None:
    value = json.loads((copy / MANIFEST).read_text())
    del value["sha256"]
    (copy / MANIFEST).write_text(json.dumps(value | {"format": 1}, indent=1) + "\n")
    assert open_package(copy).manifest == PackageManifest.read(exported_package())


def test_manifest_read_with_any_flipped_bit_raises(copy: Path) -> None:
    path = copy / MANIFEST
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        with pytest.raises(PackageError):
            PackageManifest.read(copy)


def test_open_package_of_other_directory_raises(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"no manifest.json; create one with `tzrec export`"):
        open_package(tmp_path)


def test_manifest_read_of_truncated_file_raises(copy: Path) -> None:
    truncate(copy / MANIFEST)
    (copy / MANIFEST).write_text((copy / MANIFEST).read_text()[:100])
    with pytest.raises(PackageError, match=r"manifest.json is damaged"):
        PackageManifest.read(copy)


def test_open_package_with_replaced_weights_raises(copy: Path) -> None:
    """The checksum is correct, but the file is none of the weights that the machine code needs."""
    shutil.copy(copy / "features.json", copy / "weights.safetensors")
    files = {path.name: FileRecord.of(path).__dict__ for path in copy.iterdir() if path.name != MANIFEST}
    change(copy, files=files)
    with pytest.raises(PackageError, match=r"weights.safetensors is damaged"):
        open_package(copy)
