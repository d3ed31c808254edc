"""Measurements of the self-test of a package, and their table; without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tzrec.formatting import format_columns


@dataclass(frozen=True)
class Measurement:
    """Scores of one scorer beside others.

    Attributes:
        scorer: "checkpoint", "quantized", "portable" or "compiled".
        reference: scorer that it is compared with; "" of the first one.
        difference: greatest |scorer - reference|, see `SelfTest`.
        auc: by task, of the given rows; empty without labels.
    """

    scorer: str
    reference: str = ""
    difference: float = 0.0
    auc: dict[str, float] = field(default_factory=dict)


def format_self_test(about: Mapping[str, Any]) -> str:
    """Format the result of a self-test as a table under a line that sums it up.

    Args:
        about: that of `PackageManifest.contents["self_test"]`.
    """
    measurements = [Measurement(**measurement) for measurement in about["measurements"]]
    tasks = list(measurements[0].auc)
    rows = [["", "max difference", "from", *(cell for task in tasks for cell in (task, "change"))]]
    for item in measurements:
        row = [item.scorer, f"{item.difference:.1e}" if item.reference else "", item.reference]
        for task in tasks:
            value = item.auc.get(task, math.nan)
            row += [f"{value:.6f}", f"{value - measurements[0].auc[task]:+.6f}" if item.reference else ""]
        rows.append(row)
    given = f" and {about['rows']:,} of {about['source']}" if about["rows"] else ""
    head = (
        f"max |package - checkpoint| = {about['difference']:.1e} over {about['synthetic_rows']:,} synthetic rows{given}"
    )
    return f"{head}\n{format_columns(rows, {1, *range(3, len(rows[0]))})}"
