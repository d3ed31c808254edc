"""Requirements of TDMSampler: the root of a tree has no negatives."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.protos.sampler_pb2 import TDMSampler


def check(checker: Checker, path: str, message: TDMSampler) -> None:
    """Check the numbers of negatives."""
    counts = list(message.layer_num_sample)
    if counts and counts[0] != 0:
        text = f"begins with {counts[0]}; the first number is that of the root, which has no negatives: 0"
        checker.error(f"{path}.layer_num_sample", text)
    if len(counts) == 1:
        checker.error(f"{path}.layer_num_sample", "has one number; a tree has at least two levels, root and items")
