"""Output of `tzrec predict`: a directory that all ranks write to, published when all of them are done."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
from torch import Tensor

from tzrec.config.names import did_you_mean
from tzrec.data.atomic import AtomicDirectory
from tzrec.data.batch import BASE, Batch
from tzrec.data.paths import filesystem
from tzrec.errors import UsageError
from tzrec.serving.predictor import to_arrow


class OutputDirectory(AtomicDirectory):
    """Directory that all ranks write scores to; one rank creates and publishes it.

    Two predictions never write to one draft: a local one is locked, until its process ends at the latest, and the name
    of a remote one contains a token.

    Args:
        path: a local path or URL.
        token: the same on all ranks and different for each prediction.
    """

    def __init__(self, path: str, token: str = "") -> None:
        path = path.rstrip("/")
        self._lock: int | None = None
        is_remote = token and "://" in path
        super().__init__(path, f"{path}.partial-{token}" if is_remote else f"{path}.partial")

    def create(self) -> None:
        """Create the draft, empty and locked.

        Raises:
            UsageError: another prediction is writing its draft.
        """
        if not isinstance(self._filesystem, pafs.LocalFileSystem):
            super().create()
            return
        draft = Path(self._inner_temporary)
        draft.mkdir(parents=True, exist_ok=True)
        self._lock = _locked_descriptor(draft)
        if self._lock is None:
            raise UsageError(
                f"--predict_output_path {self.path}: another prediction is writing to it (draft {self.temporary}); "
                "wait for it or stop it, or choose another path"
            )
        for entry in draft.iterdir():  # of a prediction that was killed
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def publish(self) -> None:
        """Rename the draft to its final name.

        Raises:
            UsageError: another process has written to the directory meanwhile; the draft is removed.
        """
        try:
            self.ensure_unoccupied()
        except UsageError:
            self.discard()
            raise
        super().publish()
        self._unlock()

    def discard(self) -> None:
        if self._lock is not None or not isinstance(self._filesystem, pafs.LocalFileSystem):
            super().discard()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def ensure_unoccupied(self) -> None:
        """Check that the directory does not exist or is empty.

        Raises:
            UsageError: it is not empty.
        """
        remote, inner = filesystem(self.path)
        info = remote.get_file_info(inner)
        if info.type == pafs.FileType.NotFound:
            return
        if info.type == pafs.FileType.File or remote.get_file_info(pafs.FileSelector(inner)):
            raise UsageError(f"--predict_output_path {self.path} is not empty; remove it or choose another one")


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
        if self.outputs:
            scores = scores.select(_validate_outputs(self.outputs, scores.column_names))
        if batch.reserved is not None:
            for name, column in zip(batch.reserved.column_names, batch.reserved.columns, strict=True):
                if name in scores.column_names:
                    raise UsageError(f'--reserved_columns: "{name}" is also an output; leave one of them out')
                scores = scores.append_column(name, column)
        return scores.append_column("__features__", features_text(batch)) if self.has_features else scores


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
