"""Manifest of a checkpoint: its state besides tensors, and the checksums of its files.

It is the last file written before a checkpoint is published; a directory without it is not a checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tzrec.checkpoint.position import Position
from tzrec.data.atomic import write_synced
from tzrec.errors import CheckpointError

NAME = "manifest.json"
_FORMAT = 1


@dataclass(frozen=True)
class FileRecord:
    """Size and SHA-256 of a file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """Compute the record of a file; releases the interpreter lock meanwhile."""
        size, digest = 0, hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(1 << 22):
                size += len(block)
                digest.update(block)
        return cls(size, digest.hexdigest())

    def compare(self, path: Path, name: str) -> str:
        """Describe the difference to a file that should have this size and content; "" if there is none."""
        if not path.is_file():
            return f"{name} is missing"
        if (size := path.stat().st_size) != self.size:
            return f"{name} has {size:,} bytes instead of {self.size:,}"
        return "" if FileRecord.of(path) == self else f"{name} does not match its checksum"


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
    """

    position: Position
    rng: dict[str, str] = field(default_factory=dict)
    config_sha256: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)

    def write(self, directory: Path) -> None:
        """Write the manifest and flush it to the disk."""
        value = {"format": _FORMAT, **asdict(self), "position": self.position.to_json()}
        write_synced(directory / NAME, json.dumps(value, indent=1))

    @classmethod
    def read(cls, directory: Path) -> CheckpointManifest:
        """Read the manifest, without the other files.

        Raises:
            CheckpointError: it is missing, damaged, or of a newer format.
        """
        try:
            value = json.loads((directory / NAME).read_text())
            if value.pop("format") > _FORMAT:
                raise CheckpointError(f"{directory} was written by a newer tzrec; install that version to read it")
            value["position"] = Position.from_json(value["position"])
            value["files"] = {name: FileRecord(**file) for name, file in value["files"].items()}
            return cls(**value)
        except FileNotFoundError:
            raise CheckpointError(f"{directory} has no {NAME}, so it cannot be verified") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{directory / NAME} is damaged: {error}") from None

    def verify(self, directory: Path) -> None:
        """Compare every file with its size and checksum.

        Raises:
            CheckpointError: lists all files that are missing or differ.
        """
        names = {name: f"{(directory / name).parent.name}/{Path(name).name}" for name in self.files}
        problems = [file.compare(directory / name, names[name]) for name, file in self.files.items()]
        if any(problems):
            raise CheckpointError(f"{directory} is damaged: " + "; ".join(filter(None, problems)))
