"""Requirements of SDIMEncoder: signatures of equal size, no padding."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.protos.seq_encoder_pb2 import SDIMEncoder

IS_JAGGED = True


def check(checker: Checker, path: str, message: SDIMEncoder) -> None:
    """Check the number of bits."""
    bits, size = message.num_bits, message.bits_per_signature
    if bits >= 1 and size >= 1 and bits % size:
        checker.error(f"{path}.num_bits", f"{bits} is not a multiple of bits_per_signature {size}")
