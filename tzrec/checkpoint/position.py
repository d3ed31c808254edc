"""Position: how far a run has come, in steps and in the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from tzrec.data.batch import Batch, Cursor


@dataclass(frozen=True)
class Position:
    """What has been trained, not what has been read.

    Attributes:
        step: number of the last step, counted from 0; -1 before the first one.
        cursor: where in the data the next batch begins.
        first_epoch: pass over the data in which the counting of epochs began; not 0 only where a run took over
            the data position of the checkpoint it was fine-tuned from.
    """

    step: int = -1
    cursor: Cursor = Cursor()  # noqa: RUF009 - frozen
    first_epoch: int = 0

    @property
    def steps(self) -> int:
        """Steps taken."""
        return self.step + 1

    @property
    def epochs(self) -> int:
        """Complete passes of this run."""
        return self.cursor.epoch - self.first_epoch

    def after(self, batch: Batch) -> Position:
        """The position once this batch has been trained."""
        return replace(self, step=self.step + 1, cursor=batch.cursor)

    def next_epoch(self) -> Position:
        """The position at the start of the following pass over the data."""
        return replace(self, cursor=replace(self.cursor, epoch=self.cursor.epoch + 1, row=0))

    def data_only(self) -> Position:
        """A new run's position that begins in the data where this one stands."""
        return Position(cursor=self.cursor, first_epoch=self.cursor.epoch)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Position:
        return cls(value["step"], Cursor(**value["cursor"]), value["first_epoch"])
