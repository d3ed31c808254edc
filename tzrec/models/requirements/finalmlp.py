"""Requirements of FinalMLP: gates that read a group, and widths that its heads divide."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.protos.models.more_rank_models_pb2 import FinalMLP


def check(checker: Checker, path: str, message: FinalMLP) -> None:
    """Check both streams."""
    for name in ("first", "second"):
        stream, stream_path = getattr(message, name), f"{path}.{name}"
        if stream.HasField("gate_mlp") and not stream.gate_group:
            checker.error(f"{stream_path}.gate_mlp", "has no gate_group to read")
        units = stream.mlp.hidden_units
        if units and message.head_num and units[-1] % message.head_num:
            received = f"its last width is {units[-1]}, not a multiple of head_num {message.head_num}"
            checker.error(f"{stream_path}.mlp.hidden_units", received)
