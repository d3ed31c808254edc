"""TaskSpaces: labels that are missing outside of the space of their task, as the purchase of what was not clicked."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.label_rules import unread_outside
from tzrec.protos.pipeline_pb2 import EasyRecConfig


class TaskSpaces:
    """Labels that no task reads where another label is not above 0; a missing one is no bad value there.

    Args:
        config: a checked config.
    """

    def __init__(self, config: EasyRecConfig) -> None:
        self._indicator_by_label = unread_outside(config)

    def fill(self, targets: pa.RecordBatch) -> pa.RecordBatch:
        """Replace missing labels by 0 in rows where they are not read.

        Args:
            targets: label columns, and others, `(B,)` each.
        """
        for label, indicator in self._indicator_by_label.items():
            names = targets.schema.names
            if label not in names or indicator not in names or not _is_number(targets.column(label).type):
                continue
            column, space = targets.column(label), targets.column(indicator)
            if not _is_number(space.type):
                continue
            is_unread = pc.and_(pc.is_null(column, nan_is_null=True), pc.equal(pc.greater(space, 0), False))  # (B,)
            filled = pc.if_else(is_unread.fill_null(False), pa.scalar(0, column.type), column)
            targets = targets.set_column(names.index(label), label, filled)
        return targets


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
