"""Exported package: a directory with machine code, weights, config and manifest.

    model.pt2             AOTInductor: the forward pass as machine code, without weights
    model.export.json     the same as an exported program, where the machine code does not run
    runner.so             torch's runner of machine code, as a class that does not hold Python's lock
    weights.safetensors   every table and every dense weight
    pipeline.config       the training config: how raw columns become inputs
    features.json         per input feature: raw columns, kind, table
    manifest.json         programs with inputs and outputs, versions, size and SHA-256 of the files above

A package with several programs has both files for each of them. They share the tables; their other weights are
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

from tzrec.checkpoint.file_record import FileRecord
from tzrec.config.names import name_problem
from tzrec.errors import PackageError, first_line
from tzrec.log import logger
from tzrec.serving.archive import archive_problem
from tzrec.serving.manifest_file import MANIFEST
from tzrec.serving.package_manifest import MODEL, PackageManifest, ProgramSpec
from tzrec.serving.portable import SUFFIX, PortableModel
from tzrec.serving.program_runner import open_machine_code
from tzrec.serving.weights import Weights, map_weights
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
        is_portable: True if it runs the exported programs instead of machine code.
        programs: by name; `model` is the only one of a package for ranking.

    Raises:
        MachineCodeError: the machine code cannot be loaded.
        PackageError: the weights or the exported programs are damaged.
    """

    def __init__(self, directory: Path, manifest: PackageManifest, is_portable: bool = False) -> None:
        self.directory, self.manifest, self.is_portable = directory, manifest, is_portable
        weights = map_weights(directory / WEIGHTS)
        self.programs: Mapping[str, Program] = {}
        for name, spec in manifest.programs.items():
            constants = _constants(weights, spec, constant_prefix(manifest, name))
            model = (
                PortableModel(portable_path(directory, name), constants)
                if is_portable
                else _open_machine_code(program_path(directory, name), constants, manifest)
            )
            self.programs = {**self.programs, name: Program(spec, model)}

    def program(self, name: str = MODEL) -> Program:
        """One of the programs.

        Raises:
            PackageError: the package has no program of this name.
        """
        if name not in self.programs:
            raise PackageError(f'{self.directory} has no program "{name}"; it has {", ".join(self.programs)}')
        return self.programs[name]


class MachineCodeError(Exception):
    """The machine code of a package cannot be loaded here; the text says why."""


def open_package(directory: Path) -> Package:
    """Verify a package and load it: its machine code, or the exported programs where that does not run.

    Raises:
        PackageError: it is missing, damaged, or made for a newer tzrec; names the file. A package without exported
            programs, of an older tzrec: or made for a newer torch or another machine.
    """
    manifest = PackageManifest.read(directory)
    has_portable = all(portable_path(directory, name).name in manifest.files for name in manifest.programs)
    problem = machine_code_problem(manifest.versions)
    if problem and not has_portable:
        raise PackageError(f"{directory} {problem}. Export it again on this machine.")
    _verify_files(directory, manifest)
    if not problem:
        try:
            return Package(directory, manifest)
        except MachineCodeError as error:
            problem = f"holds machine code that cannot be loaded: {error}"
    if not has_portable:
        raise PackageError(f"{directory} {problem}. Export it again on this machine.")
    logger.warning("%s %s; running its exported program instead, which is slower", directory, problem)
    return Package(directory, manifest, is_portable=True)


def machine_code_problem(exported_with: Mapping[str, str]) -> str:
    """Say why the machine code of a package does not run here; "" if it does.

    Args:
        exported_with: `versions` of its manifest.
    """
    installed = installed_versions()
    torch_version, machine = exported_with["torch"], exported_with["machine"]
    if _release(torch_version) > _release(installed["torch"]):
        return f"holds machine code for torch {torch_version}, newer than the installed {installed['torch']}"
    if machine != installed["machine"]:
        return f"holds machine code for {machine}; this is {installed['machine']}"
    if machine == "x86_64" and "AVX" not in torch.backends.cpu.get_cpu_capability().replace("NO AVX", ""):
        return "holds machine code for x86-64-v3; this processor has no AVX2"
    return ""


def _verify_files(directory: Path, manifest: PackageManifest) -> None:
    problems = [text for name, file in manifest.files.items() if (text := _difference(directory, name, file))]
    code = [program_path(directory, name).relative_to(directory) for name in manifest.programs]
    problems += [f"{MANIFEST} has no checksum of {path}" for path in code if str(path) not in manifest.files]
    if not problems:
        problems = [text for name in manifest.programs if (text := archive_problem(program_path(directory, name)))]
    if problems:
        raise PackageError(f"{directory} is damaged: {'; '.join(problems)}. Export it again.")


def program_path(directory: Path, name: str) -> Path:
    """The machine code of a program."""
    return directory / f"{name}.pt2"


def portable_path(directory: Path, name: str) -> Path:
    """The exported program, for any machine."""
    return directory / f"{name}{SUFFIX}"


def constant_prefix(manifest: PackageManifest, name: str) -> str:
    """The prefix of the weights of a program in `weights.safetensors`, except tables."""
    return "" if list(manifest.programs) == [MODEL] else f"{name}."


def installed_versions() -> dict[str, str]:
    """Versions of tzrec and torch, and the machine type."""
    return {"tzrec": __version__, "torch": torch.__version__.partition("+")[0], "machine": platform.machine()}


def _constants(weights: Weights, spec: ProgramSpec, prefix: str) -> dict[str, Tensor]:
    """Weights of a program by the names that it has for them."""
    names = {name.removeprefix(prefix): name for name in weights.tensors if name.startswith(prefix)}
    constants = {constant: weights.tensors[name] for constant, name in names.items()}
    return constants | {"tables": weights.flat(spec.tables)}


def _open_machine_code(path: Path, constants: Mapping[str, Tensor], manifest: PackageManifest) -> Any:
    try:
        return open_machine_code(path, constants, manifest.contents)
    except RuntimeError as error:
        raise MachineCodeError(first_line(error)) from None


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
