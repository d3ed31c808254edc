"""Files of an index, in the directory of a package for users or in another one.

    faiss_index      the index; `vectors.npy` of the types ExactIP and ExactL2
    id_mapping       ids of the items, one per line, in the order of the index
    index.json       type, metric, dimension, versions, checksums of the files, and the models that the vectors are of

`index.json` is removed before the files of an index are replaced, and written last. Opening the files unpickles
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from tzrec.checkpoint.file_record import FileRecord
from tzrec.checkpoint.sealed_json import DamagedJsonError, read_sealed, seal
from tzrec.data.atomic import AtomicFile, naming, write_text
from tzrec.errors import PackageError
from tzrec.retrieval.id_file import IdFile, write_ids
from tzrec.retrieval.index import Neighbours, VectorIndex, open_index
from tzrec.retrieval.options import INDEX_TYPES, IndexOptions
from tzrec.retrieval.vectors import ItemVectors
from tzrec.version import __version__

MANIFEST, IDS = "index.json", "id_mapping"
_VECTORS_BY_KIND = {"Exact": "vectors.npy"}
_FAISS = "faiss_index"
_FORMAT = 1


@dataclass(frozen=True)
class IndexManifest:
    """Description of an index.

    Attributes:
        options: its type and parameters.
        num_items: number of items.
        dimension: width of the vectors.
        is_integer: the ids are whole numbers, not text.
        trained: digest of the checkpoint that the item vectors were computed with; "" if it is not known.
        version: of tzrec that wrote it.
        files: size and checksum by file name.
    """

    options: IndexOptions
    num_items: int
    dimension: int
    is_integer: bool
    trained: str = ""
    version: str = __version__
    files: dict[str, FileRecord] = field(default_factory=dict)

    @property
    def vectors_name(self) -> str:
        """Name of the file of the index."""
        return _VECTORS_BY_KIND.get(self.options.kind, _FAISS)

    def to_json(self) -> dict[str, Any]:
        """Its form in a file."""
        return {
            "format": _FORMAT,
            **self.options.to_json(),
            "num_items": self.num_items,
            "dimension": self.dimension,
            "is_integer": self.is_integer,
            "trained": self.trained,
            "version": self.version,
            "files": {name: asdict(record) for name, record in self.files.items()},
        }

    @classmethod
    def read(cls, directory: Path) -> IndexManifest:
        """Read the manifest of the index in a directory.

        Raises:
            PackageError: there is none, or it is damaged, or written by a newer tzrec.
        """
        path = directory / MANIFEST
        try:
            value = read_sealed(path, 1)
            if value["format"] > _FORMAT:
                raise PackageError(
                    f"{path} was written by tzrec {value['version']}, newer than the installed {__version__}; upgrade "
                    "tzrec, or create the index again: tzrec index"
                )
            return cls._from_json(value)
        except (FileNotFoundError, NotADirectoryError):
            raise PackageError(f"{directory} has no index of items: create one with `tzrec index`") from None
        except DamagedJsonError as error:
            raise PackageError(f"{path} is damaged: {error}. Create the index again: tzrec index") from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise PackageError(f"{path} is damaged: {type(error).__name__} {error}") from None

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> IndexManifest:
        names = {item.name for item in fields(IndexOptions)} & value.keys()
        options = IndexOptions(**{name: value[name] for name in names})
        if options.index_type not in INDEX_TYPES:
            raise ValueError(f"an index of the type {options.index_type!r}")
        records = {name: FileRecord.from_json(record) for name, record in value["files"].items()}
        integers, trained, version = value["is_integer"], value["trained"], value["version"]
        return cls(options, value["num_items"], value["dimension"], integers, trained, version, records)


class ItemIndex:
    """Index of items: nearest vectors as ids.

    Attributes:
        vectors: index of the vectors.
        manifest: its description.
    """

    def __init__(self, vectors: VectorIndex, ids: IdFile, manifest: IndexManifest) -> None:
        self.vectors, self.manifest, self._ids = vectors, manifest, ids

    def to_table(self, neighbours: Neighbours) -> pa.Table:
        """Convert the neighbours `(Q, K)` of queries to a table of Q rows.

        Returns:
            columns `ids`, lists of int64 or string, and `scores`, lists of float32; best first.
        """
        is_item = neighbours.rows >= 0
        offsets = pa.array([0, *is_item.sum(axis=1).cumsum()], pa.int32())
        ids = pa.ListArray.from_arrays(offsets, self._ids.take(neighbours.rows[is_item]))
        scores = pa.ListArray.from_arrays(offsets, pa.array(neighbours.scores[is_item], pa.float32()))
        return pa.table({"ids": ids, "scores": scores})


def write_index(
    directory: Path, index: VectorIndex, items: ItemVectors, options: IndexOptions, trained: str = ""
) -> IndexManifest:
    """Write an index into a directory; one that is there already is replaced.

    Args:
        directory: created if it does not exist.
        index: of the vectors of the items.
        items: the items.
        options: type of the index.
        trained: digest of the checkpoint that the vectors were computed with; "" if it is not known.
    """
    options = options.for_items(index.num_items)
    is_integer = pa.types.is_integer(items.ids.type)
    manifest = IndexManifest(options, index.num_items, index.dimension, is_integer, trained)
    writers: dict[str, Callable[[Path], None]] = {
        manifest.vectors_name: index.write,
        IDS: lambda path: write_ids(path, items.ids),
    }
    directory.mkdir(parents=True, exist_ok=True)
    files = [AtomicFile(directory / name, is_synced=True) for name in writers]
    try:
        for file, write in zip(files, writers.values(), strict=True):
            with naming(file.path):
                write(Path(file.temporary))
        records = {name: FileRecord.of(Path(file.temporary)) for name, file in zip(writers, files, strict=True)}
        manifest = IndexManifest(options, index.num_items, index.dimension, is_integer, trained, files=records)
        with suppress(FileNotFoundError):
            (directory / MANIFEST).unlink()
        for file in files:
            file.publish()
    finally:
        for file in files:
            file.discard()
    write_text(directory / MANIFEST, seal(manifest.to_json()), is_synced=True)
    return manifest


def read_index(directory: Path) -> ItemIndex:
    """Verify the index in a directory and open it.

    Raises:
        PackageError: there is none, or it is damaged or too new.
        SetupError: it is one of faiss, which is not installed.
    """
    manifest = IndexManifest.read(directory)
    names = (manifest.vectors_name, IDS)
    problems = [manifest.files[name].compare(directory / name, name) for name in names if name in manifest.files]
    problems += [f"{MANIFEST} has no checksum of {name}" for name in names if name not in manifest.files]
    if any(problems):
        text = "; ".join(filter(None, problems))
        raise PackageError(f"the index in {directory} is damaged: {text}. Create it again: tzrec index")
    vectors = open_index(directory / manifest.vectors_name, manifest.options)
    ids = IdFile(directory / IDS, manifest.is_integer)
    if not len(ids) == vectors.num_items == manifest.num_items or vectors.dimension != manifest.dimension:
        raise PackageError(
            f"the index in {directory} is damaged: its files differ in size; create it again: tzrec index"
        )
    return ItemIndex(vectors, ids, manifest)
