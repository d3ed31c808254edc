"""Requirements of TransActEncoder: the feature that it names, a width that its heads divide, no padding."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.group_features import GroupFeature
from tzrec.config.query import QueryWidth
from tzrec.config.rules.sequence_groups import group_widths
from tzrec.protos.seq_encoder_pb2 import TransActEncoder

QUERY = QueryWidth.ANY
IS_JAGGED = True
FEATURES = (GroupFeature("time_gap", is_sequence=True, has_ids=False),)


def check(checker: Checker, path: str, message: TransActEncoder) -> None:
    """Check the width of the tokens."""
    query, element = group_widths(checker, path).get(message.input, (0, 0))
    width, heads = query + element - bool(message.time_gap), message.num_heads
    if query and element and heads and width % heads:
        problem = f"{heads} is no divisor of the width of a token, {width}: element without time_gap, and candidate"
        checker.error(f"{path}.num_heads", problem)
