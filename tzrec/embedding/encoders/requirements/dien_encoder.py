"""Requirements of DIENEncoder: no padding, and negatives as wide as the elements."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.sequence_groups import group_widths
from tzrec.protos.seq_encoder_pb2 import DIENEncoder

IS_JAGGED = True


def check(checker: Checker, path: str, message: DIENEncoder) -> None:
    """Check the source of the negatives, and the widths that the auxiliary loss compares."""
    widths = {name: element for name, (_, element) in group_widths(checker, path).items()}
    if message.negatives == "group" and not message.negative_input:
        checker.error(f"{path}.negatives", 'is "group" without a negative_input that names the group')
    if message.negatives in ("batch", "none") and message.negative_input:
        checker.error(f"{path}.negative_input", 'is only read with negatives: "group"')
    width, negative = widths.get(message.input), widths.get(message.negative_input)
    if width and negative and width != negative:
        problem = f'elements of "{message.negative_input}" are {negative} wide and those of "{message.input}" {width}'
        checker.error(f"{path}.negative_input", f"{problem}; make them equal")
    if message.auxiliary_score == "dot" and width and message.hidden_dim not in (0, width):
        problem = f"states are {message.hidden_dim} wide and elements {width}; leave hidden_dim out or use mlp"
        checker.error(f"{path}.auxiliary_score", problem)
    if message.auxiliary_score == "dot" and message.HasField("auxiliary_mlp"):
        checker.error(f"{path}.auxiliary_mlp", 'is not used with auxiliary_score: "dot"')
