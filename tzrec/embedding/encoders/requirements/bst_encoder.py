"""Requirements of BSTEncoder: a query unless it is ignored, a width that its heads divide, no padding."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.query import QueryWidth, query_problem
from tzrec.config.rules.sequence_groups import group_widths
from tzrec.protos.seq_encoder_pb2 import BSTEncoder

QUERY = QueryWidth.UNUSED
IS_JAGGED = True


def num_elements(message: BSTEncoder) -> int:
    """Number of elements of a row that an encoder reads, from the first."""
    has_place = message.target_item_position != "ignore" and message.reserve_target_position
    most = message.max_position_embeddings - has_place
    return min(most, message.max_seq_length or most)


def check(checker: Checker, path: str, message: BSTEncoder) -> None:
    """Check query and width of the tokens."""
    widths = group_widths(checker, path)
    if message.input not in widths:
        return
    query, element = widths[message.input]
    if message.target_item_position != "ignore" and (problem := query_problem(QueryWidth.AT_MOST, query, element)):
        checker.error(f"{path}.input", f'group "{message.input}": {problem}')
    width, heads = message.hidden_size or element, message.num_attention_heads
    if width and heads and width % heads:
        checker.error(f"{path}.num_attention_heads", f"{heads} is no divisor of the width of a token, {width}")
