"""Size and checksum of a file, as the manifests of checkpoints, packages and indexes list them; without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tzrec.storage.path import AnyPath

LARGEST_INT = 2**63 - 1


@dataclass(frozen=True)
class FileRecord:
    """Size and SHA-256 of a file."""

    size: int
    sha256: str

    @classmethod
    def from_json(cls, value: Any) -> FileRecord:
        """Read the record from a manifest.

        Raises:
            ValueError: it is not a size and a digest.
        """
        size, sha256 = value["size"], value["sha256"]
        if type(size) is not int or not 0 <= size <= LARGEST_INT or not isinstance(sha256, str):
            raise ValueError("a file has no valid size and checksum")
        return cls(size, sha256)

    @classmethod
    def of_data(cls, data: bytes) -> FileRecord:
        """Compute the record of a file with this content."""
        return cls(len(data), hashlib.sha256(data).hexdigest())

    @classmethod
    def of(cls, path: AnyPath) -> FileRecord:
        """Compute the record of a file; releases the interpreter lock meanwhile."""
        size, digest = 0, hashlib.sha256()
        with path.open("rb", buffering=0) as stream:
            # fits into a cache of the processor, or is worth a request
            block = memoryview(bytearray(1 << 20 if isinstance(path, Path) else 16 << 20))
            while num_bytes := stream.readinto(block):
                size += num_bytes
                digest.update(block[:num_bytes])
        return cls(size, digest.hexdigest())

    def compare(self, path: AnyPath, name: str) -> str:
        """Describe the difference to a file that should have this size and content; "" if there is none."""
        try:
            if path.is_dir():
                return f"{name} is a directory"
            if (size := path.stat().st_size) != self.size:
                return f"{name} has {size:,} bytes instead of {self.size:,}"
            return "" if FileRecord.of(path) == self else f"{name} does not match its checksum"
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
