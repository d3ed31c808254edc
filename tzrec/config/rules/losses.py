"""Losses: which classes they go with, and their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tzrec.config.checker import Checker
from tzrec.config.rules.sparse import check_sparse
from tzrec.config.schema import fields_of

LOSSES: Mapping[str, tuple[int, int | None, str]] = {
    "binary_cross_entropy": (1, 1, "probabilities"),
    "binary_focal_loss": (1, 1, "probabilities"),
    "softmax_cross_entropy": (2, None, "probabilities"),
    "jrc_loss": (2, 2, "probabilities"),
    "bpr_loss": (1, 1, "probabilities"),
    "l2_loss": (1, 1, "values"),
    "huber_loss": (1, 1, "values"),
    "ziln_loss": (3, 3, "values"),
}
"""loss -> least and largest num_class, and what a task predicts with it"""


def check_loss(checker: Checker, path: str, loss: Any) -> None:
    """The fields of one loss."""
    smoothing = getattr(loss, "label_smoothing", 0.0)
    if not 0 <= smoothing < 1:
        checker.error(f"{path}.label_smoothing", f"{smoothing:g} is not in [0, 1)")
    if not 0 <= getattr(loss, "alpha", 0.0) <= 1:
        checker.error(f"{path}.alpha", f"{loss.alpha:g} is not in [0, 1]; it is the weight of one of two parts")
    if getattr(loss, "gamma", 0.0) < 0:
        checker.error(f"{path}.gamma", f"{loss.gamma:g} is below 0, which would have rows that are right count more")
    if getattr(loss, "delta", 1.0) <= 0:
        checker.error(f"{path}.delta", f"{loss.delta:g} is not above 0")
    if "session_name" in fields_of(loss) and loss.HasField("session_name"):
        check_sparse(checker, f"{path}.session_name", loss.session_name)


def fits(count: int, least: int, most: int | None) -> bool:
    """Whether a num_class is in a range."""
    return least <= count and (most is None or count <= most)


def cure(loss: str, count: int) -> str:
    """What to do about a num_class that does not go with a loss."""
    least, most, predicts = LOSSES[loss]
    right = f"num_class {least}" if least == most else f"num_class from {least} up"
    if predicts == "values":
        return f"use {right}"
    if count > 1 and most is not None:
        return f"use softmax_cross_entropy or {right}"
    return f"use binary_cross_entropy or {right}" if count == 1 else f"use {right}"
