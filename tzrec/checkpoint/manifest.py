"""Manifest of a checkpoint: its state besides tensors, and the checksums of its files.

It is the last file written before a checkpoint is published; a directory without it is not a checkpoint. It carries its
own checksum; those of format 1, which an older tzrec wrote, have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tzrec import env
from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.sealed_json import DamagedJsonError, read_sealed, seal
from tzrec.data.atomic import write_synced
from tzrec.data.identity import DataIdentity
from tzrec.errors import CheckpointError
from tzrec.storage.path import AnyPath

NAME = "manifest.json"
_FORMAT = _FIRST_SEALED_FORMAT = 2


@dataclass(frozen=True)
class CheckpointManifest:
    """Description of a checkpoint.

    Attributes:
        position: steps taken and position in the data.
        rng: rank -> state of the random number generator (base64), from which dropout draws.
        config_sha256: digest of the resolved config.
        versions: of the packages that wrote it.
        numbers: further state of a run that is resumed, by name.
        files: path inside the checkpoint -> size and checksum.
        data: identity of the training data; None in a checkpoint of an older version.
        settings: field of the config -> value, of the fields that a resumed run must not change.
        is_complete: the run had reached its stop condition.
        columns: feature group -> names and widths of its columns.
        is_finite: the values were found to be finite when they were saved; False in a checkpoint of an older version.
        cpu: settings on which rounding depends, by name; a resumed run keeps them.
    """

    position: Position
    rng: dict[str, str] = field(default_factory=dict)
    config_sha256: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)
    data: DataIdentity | None = None
    settings: dict[str, str] = field(default_factory=dict)
    is_complete: bool = False
    columns: Mapping[str, Sequence[Sequence[str | int]]] = field(default_factory=dict)
    is_finite: bool = False
    cpu: dict[str, str] = field(default_factory=dict)

    def write(self, directory: AnyPath) -> None:
        """Write the manifest and flush it to the disk."""
        value = {"format": _FORMAT, **asdict(self), "position": self.position.to_json()}
        write_synced(directory / NAME, seal(value))

    @classmethod
    def read(cls, directory: AnyPath) -> CheckpointManifest:
        """Read the manifest, without the other files.

        Raises:
            CheckpointError: it is missing, damaged, or of a newer format.
        """
        path = directory / NAME
        try:
            value = read_sealed(path, _FIRST_SEALED_FORMAT)
            if value.pop("format") > _FORMAT:
                raise CheckpointError(f"{directory} was written by a newer tzrec; install that version to read it")
            return cls._from_json(value)
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(f"{directory} has no {NAME}, so it cannot be verified") from None
        except DamagedJsonError as error:
            raise CheckpointError(f"{path} is damaged: {error}") from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is damaged: {type(error).__name__} {error}") from None

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> CheckpointManifest:
        value["position"] = Position.from_json(value["position"])
        value["files"] = {name: FileRecord.from_json(file) for name, file in value["files"].items()}
        for name in value["files"]:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"it names a file outside the checkpoint: {name}")
        value["data"] = DataIdentity.from_json(value["data"]) if value.get("data") else None
        value["numbers"] = {name: float(number) for name, number in value["numbers"].items()}
        return cls(**value)

    def verify(self, directory: AnyPath) -> None:
        """Compare every file with its size and checksum, on all cores.

        Raises:
            CheckpointError: lists all files that are missing or differ.
        """
        names = {name: f"{(directory / name).parent.name}/{Path(name).name}" for name in self.files}
        with ThreadPoolExecutor(env.available_cpus()) as threads:
            compare = (threads.submit(file.compare, directory / name, names[name]) for name, file in self.files.items())
            problems = [future.result() for future in list(compare)]
        if any(problems):
            raise CheckpointError(f"{directory} is damaged: " + "; ".join(filter(None, problems)))
