"""LabelPairs: labels that are missing only where another label is 0, as the purchase of what was not clicked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from tzrec.profile.row_sample import numbers_of
from tzrec.profile.rules import Suggestion
from tzrec.protos.pipeline_pb2 import EasyRecConfig


class LabelPairs:
    """Counts of the rows in which a label is missing, by the value of each other label.

    Args:
        labels: names of the label columns.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = list(labels)
        self._num_outside: Counter[tuple[str, str]] = Counter()
        self._num_inside: Counter[tuple[str, str]] = Counter()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add B rows with the labels."""
        columns = {name: numbers_of(batch.column(name)) for name in self._labels}
        for name, numbers in columns.items():
            for other, other_numbers in columns.items():
                if name != other and numbers is not None and other_numbers is not None:
                    is_missing = np.isnan(numbers)
                    self._num_outside[name, other] += int((is_missing & (other_numbers <= 0)).sum())
                    self._num_inside[name, other] += int((is_missing & (other_numbers > 0)).sum())

    def merge(self, other: LabelPairs) -> None:
        """Add the counts of other rows."""
        self._num_outside.update(other._num_outside)
        self._num_inside.update(other._num_inside)

    def indicator_by_label(self) -> dict[str, str]:
        """Map each label that is missing only where another one is 0 to that other one."""
        indicators: dict[str, str] = {}
        for (name, other), num in self._num_outside.items():
            if num and not self._num_inside[name, other] and name not in indicators and indicators.get(other) != name:
                indicators[name] = other
        return indicators


def add_task_spaces(config: EasyRecConfig, indicator_by_label: Mapping[str, str]) -> Iterator[Suggestion]:
    """Restrict the tasks of such labels to the rows in which the other label is above 0.

    Args:
        config: with a model that has a task tower for each label.
        indicator_by_label: of `LabelPairs`.
    """
    model = config.model_config.WhichOneof("model") or ""
    for index, tower in enumerate(getattr(getattr(config.model_config, model, None), "task_towers", ())):
        indicator = indicator_by_label.get(tower.label_name)
        if indicator:
            tower.task_space_indicator_label = indicator
            tower.out_task_space_weight, tower.metrics_in_task_space = 0, True
            path = f"model_config.{model}.task_towers[{index}].task_space_indicator_label"
            yield Suggestion(indicator, f"{tower.label_name} is missing only where {indicator} is 0", path)
