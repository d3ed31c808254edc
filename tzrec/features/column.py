"""Column: what encoding a feature yields, as plain numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Column:
    """One feature of one batch, encoded. Arrays are contiguous.

    Attributes:
        values: sparse: int64 ids `(N,)`, row after row; dense: float32 `(B, dim)`.
        lengths: sparse: int32 `(B,)`, ids per row; None means exactly one id in each row. Dense: None.
        weights: sparse and weighted: float32 `(N,)`; else None.
        dim: width of a dense column, 0 for a sparse one.
        steps: int32 `(B,)`, steps of each row's sequence; None for a column that is none. The rows above are then the
            steps of all rows, row after row: `lengths` has one entry per step, and dense values are `(steps, dim)`.
    """

    values: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    lengths: npt.NDArray[np.int32] | None = None
    weights: npt.NDArray[np.float32] | None = None
    dim: int = 0
    steps: npt.NDArray[np.int32] | None = None

    @property
    def is_sparse(self) -> bool:
        return self.dim == 0

    def repeated(self, times: int) -> Column:
        """The only row as often as asked."""
        values: Any = np.tile(self.values, (times, 1) if self.dim else times)
        return Column(
            values,
            None if self.lengths is None else np.tile(self.lengths, times),
            None if self.weights is None else np.tile(self.weights, times),
            self.dim,
            None if self.steps is None else np.tile(self.steps, times),
        )
