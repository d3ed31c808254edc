"""Requirements of SimpleAttention: dot products need a query as wide as the elements, no padding."""

from __future__ import annotations

from tzrec.config.query import QueryWidth

QUERY = QueryWidth.EQUAL
IS_JAGGED = True
