"""Requirements of ManualStepLR: one rate per switch point."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.protos.optimizer_pb2 import ManualStepLR


def check(checker: Checker, path: str, message: ManualStepLR) -> None:
    """Check the number of rates."""
    sizes, rates = message.schedule_sizes, message.learning_rates
    if len(sizes) != len(rates) or not sizes:
        received = f"{len(rates)} rates for {len(sizes)} schedule_sizes"
        checker.error(f"{path}.learning_rates", f"{received}; give one rate for each switch point, and at least one")
