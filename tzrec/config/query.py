"""Query of a sequence encoder: the features of a sequence group that are no sequences."""

from __future__ import annotations

from enum import Enum, auto


class QueryWidth(Enum):
    """Required width of the query, compared with an element: the constant QUERY of the requirements of an encoder."""

    UNUSED = auto()
    """The encoder does not read the query."""

    EQUAL = auto()
    """The query is as wide as an element."""

    AT_MOST = auto()
    """The query is at most as wide as an element; the default."""
