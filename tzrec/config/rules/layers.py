"""Layers of MLPs, wherever they are in a config."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec.config.checker import Checker
from tzrec.protos.module_pb2 import MLP


def check_layers(checker: Checker) -> None:
    """Check the fields of an MLP against each other."""
    for path, message in checker.messages():
        if isinstance(message, MLP):
            check_dropout_count(checker, f"{path}.", message.hidden_units, message.dropout_ratio)
            if message.use_bn and message.use_ln:
                checker.error(f"{path}.use_ln", "use_bn and use_ln are both set; choose one")


def check_dropout_count(
    checker: Checker, prefix: str, hidden_units: Sequence[int], dropout_ratio: Sequence[float]
) -> None:
    """Check that there is no dropout, one for all layers or one for each.

    Args:
        checker: receives the problems.
        prefix: path of the fields `hidden_units` and `dropout_ratio` without these words.
        hidden_units: width of each layer.
        dropout_ratio: dropouts.
    """
    if len(dropout_ratio) not in (0, 1, len(hidden_units)):
        received = f"{len(dropout_ratio)} values for {len(hidden_units)} layers"
        checker.error(f"{prefix}dropout_ratio", f"{received}; give none, one for all or one for each")
