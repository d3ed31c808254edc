"""Manifest of a package: programs with inputs and outputs, versions, and checksums of the other files.

A package has one program, `model`, or several: `user` and `item` of a two-tower model, `embedding` and `tree` of an
index. The manifest of a package with one program called `model` describes it at its top level; others have an entry
`programs`. It carries its own checksum. The formats 1 (one program) and 2 (several), of an older tzrec, have none;
format 4 has the entry `contents`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.sealed_json import seal
from tzrec.errors import PackageError
from tzrec.serving.manifest_file import FORMAT, MANIFEST, read_manifest
from tzrec.serving.request_signature import RequestSignature, read_signature
from tzrec.serving.signature import Signature
from tzrec.storage.path import AnyPath

MODEL = "model"
"""Name of the program of a package that has only one."""


@dataclass(frozen=True)
class OutputSpec:
    """One output of a program.

    Attributes:
        name: as in predictions.
        dtype: e.g. "float32".
        shape: without the batch dimension.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def from_tensor(cls, name: str, tensor: Tensor) -> OutputSpec:
        """The output of which a batch is `tensor`."""
        return cls(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape[1:]))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> OutputSpec:
        """Read one output of a manifest."""
        return cls(value["name"], value["dtype"], tuple(value["shape"]))


@dataclass(frozen=True)
class ProgramSpec:
    """Inputs and outputs of one program.

    Attributes:
        signature: its inputs.
        tables: the tables that make up its constant `tables`, in order.
        outputs: in the order in which the machine code returns them.
    """

    signature: Signature | RequestSignature
    tables: tuple[str, ...]
    outputs: tuple[OutputSpec, ...]

    def to_json(self) -> dict[str, Any]:
        """Its form in a manifest."""
        return {
            "signature": self.signature.to_json(),
            "tables": list(self.tables),
            "outputs": [asdict(output) for output in self.outputs],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ProgramSpec:
        """The inverse of `to_json`."""
        outputs = tuple(OutputSpec.from_json(output) for output in value["outputs"])
        return cls(read_signature(value["signature"]), tuple(value["tables"]), outputs)


@dataclass(frozen=True)
class Content:
    """Content of a package besides its programs, weights and config.

    Attributes:
        file: its name in the package; "" if the manifest says all of it.
        about: what a reader needs to know of it, JSON values.
    """

    file: str
    about: dict[str, Any]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Content:
        """Read one content of a manifest."""
        return cls(value["file"], dict(value["about"]))


@dataclass(frozen=True)
class PackageManifest:
    """Description of a package.

    Attributes:
        model: oneof member of model_config, e.g. "mmoe".
        step: training steps of the exported checkpoint.
        checkpoint: its digest, equal in packages that belong together, as those of two towers; "" if it is not known.
        precision: type in which matrix products are computed.
        programs: by name; the machine code of each is `<name>.pt2`.
        additional: value of `tzrec export --additional_export_config`, not interpreted.
        self_test: greatest difference to the checkpoint, measured at export.
        versions: of tzrec and torch at export, and the machine type that the code is for.
        files: size and checksum by file name.
        contents: what else the package has, by kind; empty in a package of an older tzrec.
    """

    model: str
    step: int
    precision: str
    programs: Mapping[str, ProgramSpec]
    additional: dict[str, Any] = field(default_factory=dict)
    self_test: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)
    checkpoint: str = ""
    contents: dict[str, Content] = field(default_factory=dict)

    def write(self, directory: Path) -> None:
        """Write `manifest.json`."""
        (directory / MANIFEST).write_text(seal(self._to_json()))

    @classmethod
    def read(cls, directory: AnyPath) -> PackageManifest:
        """Read `manifest.json`; the other files are not verified.

        Raises:
            PackageError: it is missing, damaged, or written by a newer tzrec.
        """
        value = read_manifest(directory)
        try:
            return cls._from_json(value)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise PackageError(f"{directory / MANIFEST} is damaged: {type(error).__name__} {error}") from None

    def _to_json(self) -> dict[str, Any]:
        about = {"model": self.model, "step": self.step, "checkpoint": self.checkpoint, "precision": self.precision}
        rest = {
            "additional": self.additional,
            "self_test": self.self_test,
            "versions": self.versions,
            "files": {name: asdict(record) for name, record in self.files.items()},
            "contents": {kind: asdict(content) for kind, content in self.contents.items()},
        }
        if list(self.programs) == [MODEL]:
            program = self.programs[MODEL]
            inputs = {"inputs": program.signature.describe_inputs()}
            return {"format": FORMAT, **inputs, **about, **program.to_json(), **rest}
        programs = {
            name: {"inputs": program.signature.describe_inputs(), **program.to_json()}
            for name, program in self.programs.items()
        }
        return {"format": FORMAT, **about, **rest, "programs": programs}

    @classmethod
    def _from_json(cls, value: Mapping[str, Any]) -> PackageManifest:
        programs = value.get("programs", {MODEL: value})
        return cls(
            model=value["model"],
            step=value["step"],
            checkpoint=value.get("checkpoint", ""),
            precision=value["precision"],
            programs={name: ProgramSpec.from_json(program) for name, program in programs.items()},
            additional=dict(value["additional"]),
            self_test=value["self_test"],
            versions=dict(value["versions"]),
            files={name: FileRecord.from_json(record) for name, record in value["files"].items()},
            contents={kind: Content.from_json(content) for kind, content in value.get("contents", {}).items()},
        )
