"""The exported directory: machine code, weights, config, what its inputs and outputs are, and checksums of all of it.

    model.pt2             AOTInductor: the forward pass as machine code, without weights
    weights.safetensors   every table and every dense weight
    pipeline.config       the config it was trained with: how raw columns become inputs
    features.json         per input feature: raw columns, kind, table
    manifest.json         versions, inputs, outputs, size and SHA-256 of the files above

Opening a package unpickles nothing. Its machine code is code all the same: open only packages you trust.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import fbgemm_gpu  # noqa: F401  registers the lookups that the machine code calls
import torch
from torch import Tensor

from tzrec.checkpoint.manifest import FileRecord
from tzrec.errors import PackageError
from tzrec.serving.sequences import Sequences
from tzrec.serving.signature import NO_SEQUENCES, Signature
from tzrec.serving.weights import Weights, map_weights
from tzrec.version import __version__

MODEL, WEIGHTS, CONFIG, FEATURES, MANIFEST = (
    "model.pt2",
    "weights.safetensors",
    "pipeline.config",
    "features.json",
    "manifest.json",
)
_FORMAT = 1


@dataclass(frozen=True)
class OutputSpec:
    """One output: its name, type, and what follows the batch dimension in its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, name: str, example: Tensor) -> OutputSpec:
        return cls(name, str(example.dtype).removeprefix("torch."), tuple(example.shape[1:]))


@dataclass(frozen=True)
class PackageManifest:
    """What a package says of itself.

    Attributes:
        model: oneof member of model_config, e.g. "mmoe".
        step: training steps of the checkpoint it was made from.
        precision: what matrix products are computed in.
        signature: its inputs.
        tables: the tables that make the constant `tables`, in order.
        outputs: in the order in which the machine code returns them.
        additional: what `tzrec export --additional_export_config` said, handed through to whoever serves it.
        self_test: greatest difference to the checkpoint that was found when it was made.
        versions: of what it was made with, and the kind of machine it runs on.
        files: name -> size and checksum.
    """

    model: str
    step: int
    precision: str
    signature: Signature
    tables: tuple[str, ...]
    outputs: tuple[OutputSpec, ...]
    additional: dict[str, Any] = field(default_factory=dict)
    self_test: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)

    def write(self, directory: Path) -> None:
        told = {"format": _FORMAT, "inputs": self.signature.described(), **asdict(self)}
        text = json.dumps(told, indent=1)
        (directory / MANIFEST).write_text(text + "\n")

    @classmethod
    def read(cls, directory: Path) -> PackageManifest:
        """Read it without looking at the other files.

        Raises:
            PackageError: it is missing, damaged, or made by a newer tzrec.
        """
        path = directory / MANIFEST
        try:
            value = json.loads(path.read_text())
            if value["format"] > _FORMAT:
                raise PackageError(_too_new(directory, "tzrec", str(value["versions"]["tzrec"]), __version__))
            return _manifest(value)
        except FileNotFoundError:
            raise PackageError(f"{directory} is no package: it has no {MANIFEST}; `tzrec export` makes one") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PackageError(f"{path} is damaged: {type(error).__name__} {error}") from None


def _manifest(value: dict[str, Any]) -> PackageManifest:
    signature = value["signature"]
    return PackageManifest(
        model=value["model"],
        step=value["step"],
        precision=value["precision"],
        signature=Signature(
            sparse=tuple(signature["sparse"]),
            weighted=signature["weighted"],
            dense=dict(signature["dense"]),
            sequences=Sequences.read(signature["sequences"]) if "sequences" in signature else NO_SEQUENCES,
        ),
        tables=tuple(value["tables"]),
        outputs=tuple(OutputSpec(each["name"], each["dtype"], tuple(each["shape"])) for each in value["outputs"]),
        additional=dict(value["additional"]),
        self_test=value["self_test"],
        versions=dict(value["versions"]),
        files={name: FileRecord(**each) for name, each in value["files"].items()},
    )


def versions() -> dict[str, str]:
    """Of what packages are made with here."""
    return {"tzrec": __version__, "torch": torch.__version__.partition("+")[0], "machine": platform.machine()}


class Package:
    """An opened package.

    Attributes:
        directory: where it lies.
        manifest: what it says of itself.
    """

    def __init__(self, directory: Path, manifest: PackageManifest) -> None:
        self.directory, self.manifest = directory, manifest
        self.signature = manifest.signature
        self._weights = map_weights(directory / WEIGHTS)
        self._model = _load(directory / MODEL, self._weights, manifest.tables)
        self._names = tuple(output.name for output in manifest.outputs)

    def predict(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """The inputs of `signature` -> per output `(B,)` or `(B, C)`, in alphabetical order."""
        return dict(zip(self._names, self._model.run(list(inputs)), strict=True))


def open_package(directory: Path) -> Package:
    """Verify a package and load it.

    Raises:
        PackageError: it is missing, damaged, or made for a newer tzrec or torch or another machine; names the file.
    """
    manifest = PackageManifest.read(directory)
    _check_versions(directory, manifest.versions)
    wrong = [text for name, file in manifest.files.items() if (text := _difference(directory, name, file))]
    if wrong:
        raise PackageError(f"{directory} is damaged: {'; '.join(wrong)}. Export it again.")
    return Package(directory, manifest)


def _load(path: Path, weights: Weights, tables: tuple[str, ...]) -> Any:
    # The loader itself, not aoti_load_package around it: that one may unpickle weights that a package brings along.
    model = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)  # type: ignore[attr-defined]
    constants = {**weights.tensors, "tables": weights.flat(tables)}
    needed = {name: constants[name] for name in model.get_constant_fqns()}
    model.load_constants(needed, False, True, True, False)  # checks that none is missing; keeps our memory
    return model


def _check_versions(directory: Path, made: dict[str, str]) -> None:
    here = versions()
    if _number(made["torch"]) > _number(here["torch"]):
        raise PackageError(_too_new(directory, "torch", made["torch"], here["torch"]))
    if made["machine"] != here["machine"]:
        raise PackageError(
            f"{directory / MODEL} is machine code for {made['machine']}; this is {here['machine']}. Export it here."
        )


def _too_new(directory: Path, what: str, made: str, here: str) -> str:
    return f"{directory} was made with {what} {made}, newer than {here} here; install that one, or export it again"


def _number(version: str) -> tuple[int, ...]:
    """Major and minor number."""
    return tuple(int(part) for part in version.split(".")[:2])


def _difference(directory: Path, name: str, file: FileRecord) -> str:
    path = directory / name
    if path.parent != directory:
        return f"{MANIFEST} names a file outside the package: {name}"
    if not path.is_file():
        return f"{name} is missing"
    if (size := path.stat().st_size) != file.size:
        return f"{name} has {size:,} bytes instead of {file.size:,}"
    return "" if FileRecord.of(path) == file else f"{name} does not match its checksum"


def copy_assets(assets: tuple[Path, ...], directory: Path) -> None:
    """Put further files into a package.

    Raises:
        PackageError: one does not exist, or two would have the same name.
    """
    for asset in assets:
        if not asset.is_file():
            raise PackageError(f"--asset_files: {asset} does not exist")
        if (directory / asset.name).exists():
            raise PackageError(f"--asset_files: the package already has a file {asset.name}; rename {asset}")
        shutil.copyfile(asset, directory / asset.name)
