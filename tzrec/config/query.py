"""Query of a sequence encoder: the features of a sequence group that are not sequences."""

from __future__ import annotations

from enum import Enum, auto

from google.protobuf.descriptor import FieldDescriptor

from tzrec import registry


class QueryWidth(Enum):
    """Required width of the query, compared with an element: the constant QUERY of the requirements of an encoder."""

    UNUSED = auto()
    """The encoder does not read the query."""

    EQUAL = auto()
    """The query is as wide as an element."""

    AT_MOST = auto()
    """The query is at most as wide as an element; the default."""

    ANY = auto()
    """The query may have any width."""


def query_width(encoder: FieldDescriptor) -> QueryWidth:
    """Return the required width of the query of an encoder, a member of the oneof `seq_module`."""
    width: QueryWidth = getattr(registry.requirements(encoder), "QUERY", QueryWidth.AT_MOST)
    return width


def query_problem(requirement: QueryWidth, query: int, element: int) -> str:
    """Validate the width of the query of an encoder.

    Args:
        requirement: of the encoder.
        query: width of the features that are not sequences.
        element: width of an element; 0 if there are no sequences, which is another problem.

    Returns:
        The problem, or "".
    """
    if element == 0 or requirement is QueryWidth.UNUSED:
        return ""
    widths = f"the features of the row are {query} wide and those of an element {element}"
    if query == 0:
        advice = "list the features of the row that belong to them, or use pooling_encoder or self_attention_encoder"
        return f"has nothing to compare its elements with; {advice}"
    if requirement is QueryWidth.EQUAL and query != element:
        return f"{widths}; make them equal or use din_encoder"
    if requirement is QueryWidth.ANY:
        return ""
    return f"{widths}; leave some of the former out, they may not be wider" if query > element else ""
