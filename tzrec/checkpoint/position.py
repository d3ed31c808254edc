"""Position of a run, in steps and in the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from tzrec.checkpoint.file_record import LARGEST_INT
from tzrec.data.batch import Batch, Cursor, Deal


@dataclass(frozen=True)
class Position:
    """Last trained step and the position of the next batch in the data.

    Attributes:
        step: number of the last step, counted from 0; -1 before the first one.
        cursor: start of the next batch in the data.
        first_epoch: epoch of the cursor at which this run started; not 0 only for a run that took over the data
            position of the checkpoint that it fine-tunes.
        data_epoch: epoch of the cursor at which the run started on the present files; None for `first_epoch`.
        data_step: step from which on the run was trained on the present files.
    """

    step: int = -1
    cursor: Cursor = Cursor()  # noqa: RUF009 - frozen
    first_epoch: int = 0
    data_epoch: int | None = None
    data_step: int = 0

    @property
    def steps(self) -> int:
        """Number of trained steps."""
        return self.step + 1

    @property
    def epochs(self) -> int:
        """Number of complete epochs of this run."""
        return self.cursor.epoch - self.first_epoch

    @property
    def data_epochs(self) -> int:
        """Number of complete epochs over the present files."""
        return self.cursor.epoch - (self.first_epoch if self.data_epoch is None else self.data_epoch)

    def after(self, batch: Batch) -> Position:
        """Return the position after training this batch."""
        return replace(self, step=self.step + 1, cursor=batch.cursor)

    def next_epoch(self) -> Position:
        """Return the position at the start of the next epoch."""
        return replace(self, cursor=replace(self.cursor, epoch=self.cursor.epoch + 1, row=0, deals=()))

    def data_only(self) -> Position:
        """Return the position of a new run at the same position in the data."""
        return Position(cursor=self.cursor, first_epoch=self.cursor.epoch)

    def new_data(self) -> Position:
        """Return the position before the first row of other files: steps and epochs go on."""
        epoch = self.cursor.epoch + (1 if self.cursor.row else 0)
        first_epoch = self.first_epoch if self.steps else epoch
        return Position(self.step, Cursor(epoch), first_epoch, data_epoch=epoch, data_step=self.steps)

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        if self.data_epoch is None:  # as versions without these fields read it
            del value["data_epoch"], value["data_step"]
        if not self.cursor.deals:
            del value["cursor"]["deals"]
        if not self.cursor.part:
            del value["cursor"]["part"]
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Position:
        """Read a position from a manifest.

        Raises:
            ValueError: a number is not a whole number, or out of range.
        """
        cursor = dict(value["cursor"])
        deals = tuple(Deal(**deal) for deal in cursor.pop("deals", ()))
        numbers = {"step": value["step"], "first_epoch": value["first_epoch"], **cursor}
        numbers |= {name: value[name] for name in ("data_epoch", "data_step") if value.get(name) is not None}
        for name, number in [*numbers.items(), *(pair for deal in deals for pair in asdict(deal).items())]:
            least = {"step": -1, "num_streams": 1, "batch": 1}.get(name, 0)
            if type(number) is not int or not least <= number <= LARGEST_INT:
                raise ValueError(f"the {name} of its position is no valid number")
        if deals and sum(deal.rows for deal in deals) != cursor["row"]:
            raise ValueError("the rows of its position do not add up")
        return cls(
            value["step"],
            Cursor(**cursor, deals=deals),
            value["first_epoch"],
            value.get("data_epoch"),
            value.get("data_step", 0),
        )
