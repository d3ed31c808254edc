"""Where scores go: a directory that all ranks write into and that appears only when all of them are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.fs as pafs
from torch import Tensor

from tzrec.config.names import hint
from tzrec.data.batch import BASE, Batch
from tzrec.data.paths import filesystem
from tzrec.errors import UsageError
from tzrec.serving.predictor import to_arrow


class OutputDirectory:
    """A directory under a temporary name until it is published.

    Attributes:
        draft: the temporary name, where parts are written.
    """

    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")
        self.draft = f"{self.path}.partial"
        self._where, self._inner = filesystem(self.path)
        _, self._draft = filesystem(self.draft)

    def refuse_occupied(self) -> None:
        """Raises UsageError where results would mix with others."""
        info = self._where.get_file_info(self._inner)
        if info.type == pafs.FileType.NotFound:
            return
        if info.type == pafs.FileType.File or self._where.get_file_info(pafs.FileSelector(self._inner)):
            raise UsageError(f"--predict_output_path {self.path} is not empty; remove it or name another one")

    def begin(self) -> None:
        """Make the draft anew; one rank does."""
        self.discard()
        self._where.create_dir(self._draft, recursive=True)

    def publish(self) -> None:
        """Give the draft its name; one rank does, when all are done."""
        if self._where.get_file_info(self._inner).type == pafs.FileType.Directory:
            self._where.delete_dir(self._inner)  # empty, or refuse_occupied had spoken
        self._where.move(self._draft, self._inner)

    def discard(self) -> None:
        """Remove the draft."""
        if self._where.get_file_info(self._draft).type == pafs.FileType.Directory:
            self._where.delete_dir(self._draft)


@dataclass(frozen=True)
class OutputColumns:
    """Which columns come out.

    Attributes:
        outputs: of the model, in order; empty for all of them in alphabetical order.
        features: whether a column `__features__` shows what the model read.
    """

    outputs: tuple[str, ...] = ()
    features: bool = False

    def table(self, outputs: Mapping[str, Tensor], batch: Batch) -> pa.Table:
        """Outputs of the model, then the columns kept of the input.

        Raises:
            UsageError: an output is asked for that the model does not have, or a kept column has an output's name.
        """
        scores = to_arrow(outputs)
        if self.outputs:
            scores = scores.select(_known(self.outputs, scores.column_names))
        if batch.kept is not None:
            for name, column in zip(batch.kept.column_names, batch.kept.columns, strict=True):
                if name in scores.column_names:
                    raise UsageError(f'--reserved_columns: "{name}" is also an output; leave one of them out')
                scores = scores.append_column(name, column)
        return scores.append_column("__features__", features_text(batch)) if self.features else scores


def features_text(batch: Batch) -> pa.Array:
    """Per row `name:value | name:value`, ids and values of a feature joined by commas; slow, for debugging."""
    cells = [(key, ids.to_dense()) for key, ids in batch.sparse[BASE].to_dict().items()] if batch.sparse else []
    if batch.dense:
        cells += [(key, list(values)) for key, values in batch.dense[BASE].to_dict().items()]
    named = [[f"{key}:{','.join(f'{each:.9g}' for each in row.tolist())}" for row in rows] for key, rows in cells]
    return pa.array([" | ".join(row) for row in zip(*named, strict=True)])


def _known(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    for name in wanted:
        if name not in there:
            raise UsageError(f'--output_columns: the model has no output "{name}"{hint(name, there)}')
    return list(wanted)
