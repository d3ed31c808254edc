"""Output of `tzrec predict`: a directory that all ranks write to, complete when all of them are done."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from torch import Tensor

from tzrec.config.names import did_you_mean
from tzrec.data.atomic import remove, replace_directory, sync_directory, write_text
from tzrec.data.batch import BASE, Batch
from tzrec.data.existing import Existing
from tzrec.data.parts.directory import MANIFEST
from tzrec.errors import UsageError
from tzrec.serving.earlier_scores import SUCCESS, EarlierScores
from tzrec.serving.predictor import to_arrow
from tzrec.storage.path import to_path


class OutputDirectory:
    """Directory that all ranks write scores to; one rank creates and publishes it.

    A local one is written under a draft name, and renamed when it is complete. The draft is locked until its process
    ends at the latest, so that two predictions never write to it. A store has no rename: there the directory is written
    in place. Both hold a file `_SUCCESS`, written last, when they are complete.

    Args:
        path: a local path or URL.
        flag: of the command that gives the path, for the errors.
        existing: what becomes of scores in it: they are replaced when the new ones are complete, or these are added.

    Attributes:
        path: the directory.
        draft: where it is written.
        earlier: the scores to which new ones are added; None if there are none.

    Raises:
        UsageError: nothing can be added to what the directory holds.
    """

    def __init__(self, path: str, flag: str = "--predict_output_path", existing: Existing = "refuse") -> None:
        self._flag, self._existing = flag, existing
        self.path = to_path(path.rstrip("/"))
        self.draft = self.path.with_name(f"{self.path.name}.partial") if isinstance(self.path, Path) else self.path
        self.earlier = EarlierScores.read(self.path) if existing == "append" else None
        self._lock: int | None = None

    @property
    def is_open(self) -> bool:
        """True if this process may write to the draft."""
        return self._lock is not None or not isinstance(self.draft, Path)

    def create(self) -> None:
        """Create the draft, or take over that of a prediction that ended early, and lock it.

        Raises:
            UsageError: another prediction is writing its draft.
        """
        self.draft.mkdir(parents=True, exist_ok=True)
        if not isinstance(self.draft, Path):
            remove(self.draft / SUCCESS)  # of scores that are overwritten
            return
        self._lock = _locked_descriptor(self.draft)
        if self._lock is None:
            raise UsageError(
                f"{self._flag} {self.path}: another prediction is writing to it (draft {self.draft}); "
                "wait for it or stop it, or choose another path"
            )

    def clear(self) -> None:
        """Remove everything from the draft."""
        for entry in self.draft.iterdir():
            remove(entry)

    def publish(self) -> None:
        """Mark the draft as complete, and give it its final name.

        Raises:
            UsageError: another process has written to the directory meanwhile; the draft is removed.
        """
        if isinstance(self.draft, Path):
            try:
                self.ensure_unoccupied()
            except UsageError:
                self.discard()
                raise
        if self.earlier and isinstance(self.draft, Path):
            self.earlier.add_to(self.draft)
        write_text(self.draft / SUCCESS, "", is_synced=True)
        if isinstance(self.draft, Path) and isinstance(self.path, Path):
            if self.earlier or self._existing == "overwrite":
                replace_directory(self.draft, self.path)
            else:
                os.rename(self.draft, self.path)  # over an empty directory too
            sync_directory(self.draft.parent)
        self.release()

    def discard(self) -> None:
        """Remove the draft, if this process may write to it."""
        if self.is_open:
            remove(self.draft)
        self.release()

    def release(self) -> None:
        """Leave the draft as it is, for a prediction that continues it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def ensure_unoccupied(self) -> None:
        """Check that the directory may be written: it does not exist, is empty, is one written in place that is not
        complete, or holds scores that may be overwritten or added to.

        Raises:
            UsageError: it holds something else.
        """
        if not self.path.exists():
            return
        names = [entry.name for entry in self.path.iterdir()] if self.path.is_dir() else [self.path.name]
        is_begun = not isinstance(self.path, Path) and MANIFEST in names and SUCCESS not in names
        if not names or is_begun or self.earlier:
            return
        if self._existing != "overwrite":
            raise UsageError(f"{self._flag} {self.path} is not empty; remove it or choose another one")
        if MANIFEST not in names:
            raise UsageError(f"{self._flag} {self.path} holds other files than scores; only scores are overwritten")


def _locked_descriptor(directory: Path) -> int | None:
    """Lock a directory; None if another process has locked it, or has renamed it meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(directory)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:  # a network filesystem without locks of directories
        return descriptor
    os.close(descriptor)
    return None


@dataclass(frozen=True)
class OutputColumns:
    """Columns of the output.

    Attributes:
        outputs: names of outputs, in order; empty for all of them in alphabetical order.
        has_features: a column `__features__` lists the inputs of the model.
    """

    outputs: tuple[str, ...] = ()
    has_features: bool = False

    def table(self, outputs: Mapping[str, Tensor], batch: Batch) -> pa.Table:
        """Build the output of a batch: outputs of the model, then the reserved columns of the input.

        Raises:
            UsageError: the model lacks one of the outputs, or a reserved column has the name of an output.
        """
        scores = to_arrow(outputs)
        copies = {} if batch.reserved is None else dict(zip(batch.reserved.column_names, batch.reserved.columns))
        scores = scores.select(self._names(scores.column_names, list(copies)))
        for name, column in copies.items():
            scores = scores.append_column(name, column)
        return scores.append_column("__features__", features_text(batch)) if self.has_features else scores

    def schema(self, outputs: Mapping[str, pa.DataType], reserved: Mapping[str, pa.DataType]) -> pa.Schema:
        """Return the schema of `table`, without `__features__`.

        Args:
            outputs: types of the outputs of the model, in alphabetical order.
            reserved: types of the reserved columns.

        Raises:
            UsageError: as `table`.
        """
        names = self._names(list(outputs), list(reserved))
        return pa.schema([*((name, outputs[name]) for name in names), *reserved.items()])

    def _names(self, outputs: list[str], reserved: list[str]) -> list[str]:
        """Names of the outputs to write."""
        names = _validate_outputs(self.outputs, outputs) if self.outputs else outputs
        for name in reserved:
            if name in names:
                raise UsageError(f'--reserved_columns: "{name}" is also an output; leave one of them out')
        return names


def features_text(batch: Batch) -> pa.Array:
    """Inputs of each row as text, `name:value | name:value`; for debugging, slow."""
    cells = [(key, ids.to_dense()) for key, ids in batch.sparse[BASE].to_dict().items()] if batch.sparse else []
    if batch.dense:
        cells += [(key, list(values)) for key, values in batch.dense[BASE].to_dict().items()]
    named = [[f"{key}:{','.join(f'{value:.9g}' for value in row.tolist())}" for row in rows] for key, rows in cells]
    return pa.array([" | ".join(row) for row in zip(*named, strict=True)])


def _validate_outputs(names: Sequence[str], outputs: Sequence[str]) -> list[str]:
    for name in names:
        if name not in outputs:
            raise UsageError(f'--output_columns: the model has no output "{name}"{did_you_mean(name, outputs)}')
    return list(names)
