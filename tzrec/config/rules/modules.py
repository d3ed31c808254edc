"""MLPs wherever they stand, activations, and texts that say how a table begins."""

from __future__ import annotations

from collections.abc import Sequence

from tzrec.config.checker import Checker, repeated
from tzrec.config.grammar import activation_problem, initialiser_problem
from tzrec.config.schema import fields_of
from tzrec.protos.module_pb2 import MLP


def check_modules(checker: Checker) -> None:
    """Every MLP and every init_fn."""
    for path, message in checker.messages():
        if isinstance(message, MLP):
            _check_mlp(checker, path, message)
        for name in ("init_fn", "wide_init_fn"):
            text = getattr(message, name, "") if name in fields_of(message) else ""
            problem = initialiser_problem(text) if text else ""
            if problem:
                checker.error(f"{path}.{name}", problem)


def _check_mlp(checker: Checker, path: str, mlp: MLP) -> None:
    if not mlp.hidden_units and not checker.has_parse_errors(path):
        checker.error(f"{path}.hidden_units", "is empty; give the width of each layer, e.g. [256, 128]")
    check_layers(checker, f"{path}.", mlp.hidden_units, mlp.dropout_ratio)
    if mlp.use_bn and mlp.use_ln:
        checker.error(f"{path}.use_ln", "use_bn and use_ln are both set; choose one")
    problem = activation_problem(mlp.activation)
    if problem:
        checker.error(f"{path}.activation", problem)


def check_layers(checker: Checker, prefix: str, hidden_units: Sequence[int], dropout_ratio: Sequence[float]) -> None:
    """The fields `hidden_units` and `dropout_ratio`, whose paths begin with a prefix."""
    layers = len(hidden_units)
    for here, units in repeated(f"{prefix}hidden_units", hidden_units):
        if units == 0:
            checker.error(here, "0 units; a layer has at least 1")
    if len(dropout_ratio) not in (0, 1, layers):
        received = f"{len(dropout_ratio)} values for {layers} layers"
        checker.error(f"{prefix}dropout_ratio", f"{received}; give none, one for all or one for each")
    for here, ratio in repeated(f"{prefix}dropout_ratio", dropout_ratio):
        if not 0 <= ratio < 1:
            checker.error(here, f"{ratio:g} is not in [0, 1)")
