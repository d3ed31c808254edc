"""FirstLook: what the first rows tell of each column before all rows are read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tzrec.errors import ConfigError, DataError, Problem
from tzrec.profile.cell_shapes import ColumnShape, cell_shapes
from tzrec.profile.column_reading import ColumnReading, given_shape, label_reading, link_shared_values, read_column
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.label_stats import LabelStats
from tzrec.profile.quantities import Kind
from tzrec.profile.text_columns import MissingWords
from tzrec.profile.time_columns import TimeColumn, TimeStats, time_columns


@dataclass(frozen=True)
class FirstLook:
    """Shapes of the columns, labels aside, and the relations of their times.

    Attributes:
        shape_by_column: how the cells are written.
        time_by_column: columns of times.
        missing: words for missing values of text files.
        reason_by_column: columns that no feature can read.
    """

    shape_by_column: Mapping[str, ColumnShape]
    time_by_column: Mapping[str, TimeColumn]
    missing: MissingWords
    reason_by_column: dict[str, str]

    @classmethod
    def of(
        cls, rows: pa.Table, names: Sequence[str], kind_by_column: Mapping[str, Kind], missing: MissingWords
    ) -> FirstLook:
        """Look at the first rows.

        Args:
            rows: with the columns.
            names: columns that are no labels.
            kind_by_column: kinds that the user gives.
            missing: words for missing values.

        Raises:
            ConfigError: the user takes a column for times whose values are none.
        """
        shape_by_name = cell_shapes(rows, names)
        shapes = {name: given_shape(shape, kind_by_column.get(name)) for name, shape in shape_by_name.items()}
        for name, kind in kind_by_column.items():
            if kind == Kind.TIME and name in shapes and shapes[name].time is None:
                message = "its values are not written as times, such as 2024-05-01, 01.05.2024 17:30 or seconds"
                raise ConfigError([Problem("", f"--as {name}=time: {message}")])
        times = {name: shape.time for name, shape in shapes.items() if shape.time is not None}
        look = cls(shapes, time_columns(rows, times), missing, {})
        for name in names:
            try:
                for batch in rows.slice(0, 1).to_batches():
                    look.new_stats(name).add_batch(batch)
            except DataError:
                look.reason_by_column[name] = f"no feature reads {rows.schema.field(name).type}"
        return look

    def new_stats(self, name: str) -> ColumnStats:
        """Empty statistics of a column, which read its cells as its features will."""
        shape = self.shape_by_column.get(name)
        if shape is None:
            return LabelStats(name)
        if name in self.time_by_column:
            return TimeStats(self.time_by_column[name])
        separators = (shape.separator,) if shape.separator else ("\x1d",)
        return ColumnStats(name, separators, shape.is_number, shape.is_weighted)

    def readings(self, stats: Sequence[ColumnStats], kind_by_column: Mapping[str, Kind]) -> list[ColumnReading]:
        """Tell what each column is, in the order of the data.

        Args:
            stats: of all rows of the columns, labels included.
            kind_by_column: kinds that the user gives.
        """
        readings = [
            label_reading(column)
            if isinstance(column, LabelStats)
            else read_column(
                column,
                kind_by_column.get(column.name),
                self.shape_by_column[column.name],
                column.time if isinstance(column, TimeStats) else None,
                self.missing.share_by_column.get(column.name, ""),
            )
            for column in stats
        ]
        link_shared_values(readings)
        return readings
