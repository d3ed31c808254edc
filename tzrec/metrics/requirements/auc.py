"""Requirements of AUC: thresholds that make a curve."""

from __future__ import annotations

from typing import Any

from tzrec.config.checker import Checker


def check_thresholds(checker: Checker, path: str, message: Any) -> None:
    """Report a single threshold."""
    if message.thresholds == 1:
        checker.error(f"{path}.thresholds", "1 threshold does not define a curve; use 0 (exact area) or at least 2")


def check(checker: Checker, path: str, message: Any) -> None:
    """Check the thresholds; the exact area needs all rows, which training does not keep."""
    check_thresholds(checker, path, message)
    if message.thresholds == 0 and ".train_metrics[" in path:
        received = "0 is for the exact area, which needs all rows; over windows of training use at least 2"
        checker.error(f"{path}.thresholds", received)
