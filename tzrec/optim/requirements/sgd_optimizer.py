"""Requirements of SGD: Nesterov momentum needs momentum without dampening."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.protos.optimizer_pb2 import SGDOptimizer


def check(checker: Checker, path: str, message: SGDOptimizer) -> None:
    """Check `nesterov`."""
    if message.nesterov and (message.momentum == 0 or message.dampening):
        checker.error(f"{path}.nesterov", "needs momentum above 0 and dampening 0")
