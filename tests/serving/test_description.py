from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.small_model import exported_package, saved_model
from tzrec.errors import PackageError
from tzrec.inspect import main
from tzrec.serving.description import describe_package


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A package that may be damaged."""
    return Path(shutil.copytree(exported_package(), tmp_path / "package"))


def test_describe_package_lists_inputs_outputs_features_and_files() -> None:
    text = describe_package(exported_package())
    lines = [line.split() for line in text.splitlines()]
    assert lines[1] == ["model", "mmoe", "step", "7", "FP32"]
    assert ["lengths", "int32", "(7,", "B)"] in lines
    assert ["probs_kind", "float32", "(B,", "3)"] in lines
    assert ["scores", "ids", "weighted", "user:scores", "scores_emb", "20", "x", "5", "sum"] in lines
    assert ["clicks__price", "dense", "item:clicks__price", "width", "1", "in", "clicks"] in lines
    assert ["sample", "sample_request.json", "source", "synthetic", "items", "8"] in lines
    assert any(line[0] == "compiled" and line[2] == "checkpoint" for line in lines)
    assert lines[-1] == ["verified", "sizes", "and", "checksums"]


def test_describe_package_of_directory_describes_all_packages_in_it(copy: Path) -> None:
    shutil.copytree(copy, copy.parent / "other")
    text = describe_package(copy.parent)
    assert text.count("package   ") == 2 and f"package   {copy.parent / 'other'}  " in text


def test_describe_package_that_is_damaged_names_the_files(copy: Path) -> None:
    (copy / "model.pt2").unlink()
    with (copy / "weights.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(PackageError, match=r"is damaged: model.pt2 is missing; weights.safetensors has .* instead of"):
        describe_package(copy)


def test_describe_package_with_a_flipped_bit_names_the_file(copy: Path) -> None:
    data = bytearray((copy / "model.pt2").read_bytes())
    data[1000] ^= 1
    (copy / "model.pt2").write_bytes(data)
    with pytest.raises(PackageError, match=r"model.pt2 does not match its checksum"):
        describe_package(copy)


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "is not a package: it has no manifest.json; create"), ("nothing", "is not a package")],
)
def test_describe_package_of_other_directory_raises(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(PackageError, match=message):
        describe_package(tmp_path / name)


def test_describe_package_of_checkpoint_says_so() -> None:
    checkpoint = next(path for path in saved_model().iterdir() if path.name.startswith("model.ckpt-"))
    with pytest.raises(PackageError, match="is a checkpoint, not a package; create one with `tzrec export`"):
        describe_package(checkpoint)


def test_inspect_prints_without_torch() -> None:
    """It answers before torch could be imported."""
    code = "import sys; from tzrec.inspect import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    arguments = [sys.executable, "-c", code, str(exported_package())]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("package   ") and "mmoe" in result.stdout


def test_inspect_of_missing_package_prints_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "exprot")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines() == [
        f"{tmp_path / 'exprot'} is not a package: it has no manifest.json; create one with `tzrec export`"
    ]
