"""Where scores go: a directory that all ranks write into and that appears only when all of them are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.fs as pafs
from torch import Tensor

from tzrec.config.names import hint
from tzrec.data.atomic import AtomicDirectory
from tzrec.data.batch import BASE, Batch
from tzrec.data.paths import filesystem
from tzrec.errors import UsageError
from tzrec.serving.predictor import to_arrow


class OutputDirectory(AtomicDirectory):
    """The directory that all ranks write scores into; one rank creates and publishes it."""

    def __init__(self, path: str) -> None:
        path = path.rstrip("/")
        super().__init__(path, f"{path}.partial")

    def refuse_occupied(self) -> None:
        """Raises UsageError where results would mix with others."""
        remote, inner = filesystem(self.path)
        info = remote.get_file_info(inner)
        if info.type == pafs.FileType.NotFound:
            return
        if info.type == pafs.FileType.File or remote.get_file_info(pafs.FileSelector(inner)):
            raise UsageError(f"--predict_output_path {self.path} is not empty; remove it or name another one")


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
