"""Table of the self-test of a package, and its limits: `export_config.self_test_tolerance` and `max_auc_change`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from tzrec.errors import PackageError
from tzrec.protos.export_pb2 import ExportConfig
from tzrec.serving.draft import PackageDraft
from tzrec.serving.measurements import Measurement
from tzrec.serving.predictor import Scorer
from tzrec.serving.sample import SampleRows
from tzrec.serving.selftest import SelfTest
from tzrec.serving.trained_model import precision_of

SELF_TEST = "self_test"
"""Kind of the content of a package."""
QUANTIZED = "quantized"
"""Scorer whose tables are rounded: its difference to the checkpoint has no limit, but its AUC has."""

_TOLERANCE = 1e-5
"""Greatest difference of an FP32 program to its checkpoint, relative to outputs greater than 1."""


def add_self_test(draft: PackageDraft, scorers: Mapping[str, Scorer], sample: SampleRows | None) -> None:
    """Score synthetic and given rows with the checkpoint and with other scorers, and note the result in a package.

    Args:
        draft: the package.
        scorers: by name; those after "quantized" have its tables, and are compared with it.
        sample: rows; those that are not given are not scored.

    Raises:
        PackageError: a difference or a change of the AUC is beyond the limits of the config.
        DataError: the rows cannot be read.
    """
    trained = draft.trained
    rows = sample.encode(trained) if sample is not None and sample.is_given else None
    test = SelfTest(trained.model, trained.features, rows)
    reference = "checkpoint"
    for name, scorer in scorers.items():
        test.compare(name, scorer, reference)
        reference = QUANTIZED if name == QUANTIZED else reference
    _ensure_within_limits(test.measurements, trained.config.export_config, precision_of(trained.config))
    about = {
        "synthetic_rows": test.num_rows - (rows.rows if rows else 0),
        "rows": rows.rows if rows else 0,
        "source": sample.source if sample is not None and rows else "",
        "difference": test.measurements[-1].difference,
        "measurements": [asdict(measurement) for measurement in test.measurements],
    }
    draft.add(SELF_TEST, about=about)


def _ensure_within_limits(measurements: Sequence[Measurement], config: ExportConfig, precision: str) -> None:
    is_limited = precision == "FP32" or config.HasField("self_test_tolerance")
    tolerance = config.self_test_tolerance if config.HasField("self_test_tolerance") else _TOLERANCE
    max_change = config.max_auc_change if config.HasField("max_auc_change") else math.inf
    problems = []
    for item in measurements[1:]:
        if is_limited and item.scorer != QUANTIZED and not item.difference <= tolerance:
            problems.append(
                f"max |{item.scorer} - {item.reference}| = {item.difference:.1e}, more than {tolerance:.0e} "
                "(export_config.self_test_tolerance)"
            )
        for task, value in item.auc.items():
            change = value - measurements[0].auc[task]
            if abs(change) > max_change:
                problems.append(
                    f"{task} of {item.scorer} changes by {change:+.6f}, more than {max_change:g} "
                    "(export_config.max_auc_change)"
                )
    if problems:
        raise PackageError(f"self-test: {'; '.join(problems)}; nothing was published")
