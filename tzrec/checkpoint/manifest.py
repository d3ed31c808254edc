"""The manifest of a checkpoint: everything but its tensors, and the checksums that say that it is whole.

It is the last file written before a checkpoint is published, so a directory without it is not a checkpoint.
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
        """Read and sum up a file; releases the interpreter lock while it does."""
        size, digest = 0, hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(1 << 22):
                size += len(block)
                digest.update(block)
        return cls(size, digest.hexdigest())


@dataclass(frozen=True)
class CheckpointManifest:
    """Attributes:
    position: steps taken and place in the data.
    rng: per rank, state of the random number generator (base64), which dropout draws from.
    config_sha256: digest of the resolved config.
    versions: of what wrote it.
    numbers: what else a continued run must know, by name.
    files: path inside the checkpoint -> size and checksum.
    """

    position: Position
    rng: dict[str, str] = field(default_factory=dict)
    config_sha256: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)

    def write(self, directory: Path) -> None:
        """Write it, synced, with the files it has to name."""
        value = {"format": _FORMAT, **asdict(self), "position": self.position.to_json()}
        write_synced(directory / NAME, json.dumps(value, indent=1))

    @classmethod
    def read(cls, directory: Path) -> CheckpointManifest:
        """Read it without looking at the other files.

        Raises:
            CheckpointError: it is missing, damaged, or of a newer format.
        """
        try:
            value = json.loads((directory / NAME).read_text())
            if value.pop("format") > _FORMAT:
                raise CheckpointError(f"{directory} was written by a newer tzrec; install that one to read it")
            value["position"] = Position.from_json(value["position"])
            value["files"] = {name: FileRecord(**file) for name, file in value["files"].items()}
            return cls(**value)
        except FileNotFoundError:
            raise CheckpointError(f"{directory} has no {NAME}, so nothing says that it is whole") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{directory / NAME} is damaged: {error}") from None

    def verify(self, directory: Path) -> None:
        """Compare every file with its size and checksum.

        Raises:
            CheckpointError: names every file that is missing, has another size or another content.
        """
        wrong = [text for name, file in self.files.items() if (text := _difference(directory / name, file))]
        if wrong:
            raise CheckpointError(f"{directory} is damaged: " + "; ".join(wrong))


def _difference(path: Path, file: FileRecord) -> str:
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        return f"{name} is missing"
    if (size := path.stat().st_size) != file.size:
        return f"{name} has {size:,} bytes instead of {file.size:,}"
    return "" if FileRecord.of(path) == file else f"{name} does not match its checksum"
