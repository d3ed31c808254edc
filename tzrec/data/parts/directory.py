"""PartDirectory: files of parts, and the records by which a run that is started again recognizes finished ones.

    part-000000.parquet ...   one file per part, complete as soon as it has this name
    _done/part-000000.json    record of a part, written after its file: only then the part is finished
    _manifest.json            input, settings and parts; "complete" when the last part is finished

The records are merged into the manifest at the end. Readers of directories skip names that begin with an underscore.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tzrec.data.atomic import remove, write_text
from tzrec.data.parts.part import Part, PartResult
from tzrec.data.parts.provenance import Provenance
from tzrec.storage.path import AnyPath, StorePath

MANIFEST = "_manifest.json"
_DONE = "_done"
_FORMAT = 2


class PartDirectory:
    """Directory of the files of parts.

    Args:
        path: of the directory.
        provenance: of the parts; finished parts of another one do not count.
        parts: all of them, in order.
        extension: of their files.
        earlier: manifest of the parts that these are added to; None if there are none.
    """

    def __init__(
        self,
        path: AnyPath,
        provenance: Provenance,
        parts: Sequence[Part],
        extension: str = "parquet",
        earlier: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.provenance, self.parts = path, provenance, parts
        self._extension, self._earlier = extension, earlier
        layout = json.dumps([part.to_json() for part in parts])
        self._stamp = hashlib.sha256(f"{provenance.stamp}{layout}".encode()).hexdigest()

    def open(self) -> list[PartResult | None]:
        """Create the directory, or continue in it.

        Returns:
            the result of each part, None if it is not finished.
        """
        manifest = read_manifest(self.path) or {}
        entries = manifest["parts"] if manifest.get("complete") else self._records()
        entry_by_name = {entry.get("name"): entry for entry in entries if manifest.get("stamp") == self._stamp}
        sizes = self._sizes() if entry_by_name else {}
        results = [self._result(entry_by_name.get(part.name), sizes) for part in self.parts]
        if None in results:
            self._write_manifest(results)
        return results

    def changes_since(self, manifest: Mapping[str, Any]) -> list[str]:
        """Describe a manifest by its differences to this directory, to follow "was created"."""
        changes = self.provenance.changes_since(manifest)
        is_same = manifest.get("format") == _FORMAT and manifest.get("stamp") == self._stamp
        return changes or ([] if is_same else ["by another build of tzrec, which splits the input differently"])

    def count_records(self) -> int:
        """Count the parts that are recorded as finished."""
        return len(self._records())

    def commit(self, part: Part, result: PartResult) -> None:
        """Record that the file of a part is complete."""
        records = self.path / _DONE
        records.mkdir(parents=True, exist_ok=True)
        num_bytes = (self.path / self._file_name(part.name)).stat().st_size
        record = self._entry(part, result) | {"bytes": num_bytes, "sample": result.sample}
        write_text(records / f"{part.name.rpartition('/')[2]}.json", json.dumps(record), is_synced=True)

    def finish(self, results: Sequence[PartResult]) -> None:
        """Write the manifest of the complete directory, and remove the records."""
        self._write_manifest(results)
        remove(self.path / _DONE)

    def _write_manifest(self, results: Sequence[PartResult | None]) -> None:
        entries = [self._entry(part, result) for part, result in zip(self.parts, results, strict=True)]
        is_complete = None not in results
        if is_complete:
            sizes = self._sizes()
            entries = [entry | {"bytes": sizes.get(self._file_name(entry["name"]))} for entry in entries]
        provenance = self.provenance
        if is_complete and self._earlier:
            entries = [*self._earlier["parts"], *entries]
            provenance = provenance.after(self._earlier)
        write_manifest(self.path, provenance, entries, is_complete, self._stamp)

    def _entry(self, part: Part, result: PartResult | None) -> dict[str, Any]:
        return part.to_json() | (result.to_json() if result else {})

    def _result(self, entry: Mapping[str, Any] | None, sizes: Mapping[str, int]) -> PartResult | None:
        """Read the result of a part; None if its file does not have the recorded size."""
        if entry is None or "bytes" not in entry or sizes.get(self._file_name(entry["name"])) != entry["bytes"]:
            return None
        return PartResult.from_json(entry)

    def _records(self) -> list[dict[str, Any]]:
        """Read the records of finished parts; damaged ones are left out, so that their parts are written again."""
        records = self.path / _DONE
        paths = [path for path in records.iterdir() if path.name.endswith(".json")] if records.exists() else []
        return [record for path in paths if (record := _read_json(path))]

    def _sizes(self) -> dict[str, int]:
        """Map the names of the files of the directory to their sizes."""
        if isinstance(self.path, StorePath):
            return {name: stat.st_size for name, stat in self.path.files().items()}
        files = (path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): path.stat().st_size for path in files}

    def _file_name(self, part_name: str) -> str:
        return f"{part_name}.{self._extension}"


def read_manifest(directory: AnyPath) -> dict[str, Any] | None:
    """Read the manifest of a directory of parts; None if there is none, or a damaged one."""
    return _read_json(directory / MANIFEST)


def write_manifest(
    directory: AnyPath, provenance: Provenance, entries: Sequence[Mapping[str, Any]], is_complete: bool, stamp: str = ""
) -> None:
    """Write the manifest of a directory of parts.

    Args:
        directory: of the parts.
        provenance: their input and settings.
        entries: the parts; those that are finished have "rows".
        is_complete: all are finished.
        stamp: identifies provenance and split.
    """
    value = {
        "format": _FORMAT,
        "stamp": stamp,
        **provenance.to_json(),
        "complete": is_complete,
        "rows": sum(entry.get("rows", 0) for entry in entries),
        "parts": list(entries),
    }
    write_file(directory, MANIFEST, json.dumps(value, indent=1) + "\n")


def write_file(directory: AnyPath, name: str, text: str) -> None:
    """Write a small file beside the parts, atomically."""
    directory.mkdir(parents=True, exist_ok=True)
    write_text(directory / name, text, is_synced=True)


def _read_json(path: AnyPath) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None
