"""Exported package: a directory with machine code, weights, config and manifest.

    model.pt2             AOTInductor: the forward pass as machine code, without weights
    weights.safetensors   every table and every dense weight
    pipeline.config       the training config: how raw columns become inputs
    features.json         per input feature: raw columns, kind, table
    manifest.json         programs with inputs and outputs, versions, size and SHA-256 of the files above

A package with several programs has `<program>.pt2` for each of them. They share the tables; their other weights are
stored as `<program>.<name>`.

Opening a package unpickles nothing. Its machine code is code all the same: open only packages you trust.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fbgemm_gpu  # noqa: F401  registers the lookups that the machine code calls
import torch
from torch import Tensor

from tzrec.checkpoint.manifest import FileRecord
from tzrec.config.names import name_problem
from tzrec.errors import PackageError
from tzrec.serving.archive import archive_problem
from tzrec.serving.package_manifest import MANIFEST, MODEL, PackageManifest, ProgramSpec, newer_version
from tzrec.serving.weights import Weights, map_weights
from tzrec.torchrec_adapter import load_package
from tzrec.version import __version__

WEIGHTS, CONFIG, FEATURES = "weights.safetensors", "pipeline.config", "features.json"


class Program:
    """A loaded program of a package: plain tensors in, predictions out.

    Attributes:
        signature: its inputs.
        outputs: its outputs, in alphabetical order.
    """

    def __init__(self, spec: ProgramSpec, model: Any) -> None:
        self.signature, self.outputs = spec.signature, spec.outputs
        self._model = model

    def predict(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Run the program.

        Args:
            inputs: those of `signature`.

        Returns:
            per output `(B,)` or `(B, C)`.
        """
        names = [output.name for output in self.outputs]
        return dict(zip(names, self._model.run(list(inputs)), strict=True))


class Package:
    """An opened package.

    Attributes:
        directory: its path.
        manifest: its description.
        programs: by name; `model` is the only one of a package for ranking.
    """

    def __init__(self, directory: Path, manifest: PackageManifest) -> None:
        self.directory, self.manifest = directory, manifest
        weights = map_weights(directory / WEIGHTS)
        self.programs: Mapping[str, Program] = {
            name: Program(spec, _load(program_path(directory, name), spec, weights, constant_prefix(manifest, name)))
            for name, spec in manifest.programs.items()
        }

    def program(self, name: str = MODEL) -> Program:
        """One of the programs.

        Raises:
            PackageError: the package has no program of this name.
        """
        if name not in self.programs:
            raise PackageError(f'{self.directory} has no program "{name}"; it has {", ".join(self.programs)}')
        return self.programs[name]


def open_package(directory: Path) -> Package:
    """Verify a package and load it.

    Raises:
        PackageError: it is missing, damaged, or made for a newer tzrec or torch or another machine; names the file.
    """
    manifest = PackageManifest.read(directory)
    _check_versions(directory, manifest.versions)
    problems = [text for name, file in manifest.files.items() if (text := _difference(directory, name, file))]
    code = [program_path(directory, name).relative_to(directory) for name in manifest.programs]
    problems += [f"{MANIFEST} has no checksum of {path}" for path in code if str(path) not in manifest.files]
    if not problems:
        problems = [text for name in manifest.programs if (text := archive_problem(program_path(directory, name)))]
    if problems:
        raise PackageError(f"{directory} is damaged: {'; '.join(problems)}. Export it again.")
    return Package(directory, manifest)


def program_path(directory: Path, name: str) -> Path:
    """The machine code of a program."""
    return directory / f"{name}.pt2"


def constant_prefix(manifest: PackageManifest, name: str) -> str:
    """The prefix of the weights of a program in `weights.safetensors`, except tables."""
    return "" if list(manifest.programs) == [MODEL] else f"{name}."


def installed_versions() -> dict[str, str]:
    """Versions of tzrec and torch, and the machine type."""
    return {"tzrec": __version__, "torch": torch.__version__.partition("+")[0], "machine": platform.machine()}


def _load(path: Path, spec: ProgramSpec, weights: Weights, prefix: str) -> Any:
    model = load_package(str(path))
    names = {name.removeprefix(prefix): name for name in weights.tensors if name.startswith(prefix)}
    constants = {constant: weights.tensors[name] for constant, name in names.items()}
    constants["tables"] = weights.flat(spec.tables)
    needed = {name: constants[name] for name in model.get_constant_fqns()}
    model.load_constants(needed, False, True, True, False)  # raises if one is missing; uses the mapped memory
    return model


def _check_versions(directory: Path, exported_with: dict[str, str]) -> None:
    installed = installed_versions()
    if _release(exported_with["torch"]) > _release(installed["torch"]):
        raise PackageError(newer_version(directory, "torch", exported_with["torch"], installed["torch"]))
    if exported_with["machine"] != installed["machine"]:
        raise PackageError(
            f"{directory} holds machine code for {exported_with['machine']}; this is {installed['machine']}. "
            "Export it again on this machine."
        )


def _release(version: str) -> tuple[int, ...]:
    """Major and minor number."""
    return tuple(int(part) for part in version.split(".")[:2])


def _difference(directory: Path, name: str, file: FileRecord) -> str:
    path = directory / name
    if name_problem(name):
        return f"{MANIFEST} names a file outside the package: {name!r}"
    return file.compare(path, name)


def ensure_files(assets: tuple[Path, ...]) -> None:
    """Check that further files for a package exist, before the model is compiled.

    Raises:
        PackageError: one does not exist.
    """
    for asset in assets:
        if not os.path.isfile(asset):
            raise PackageError(f"--asset_files: {asset} does not exist")


def copy_assets(assets: tuple[Path, ...], directory: Path) -> None:
    """Copy further files into a package.

    Raises:
        PackageError: two would have the same name.
    """
    for asset in assets:
        if (directory / asset.name).exists():
            raise PackageError(f"--asset_files: the package already has a file {asset.name}; rename {asset}")
        shutil.copyfile(asset, directory / asset.name)
