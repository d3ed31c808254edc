"""Requirements of SimpleAttention: dot products need a query as wide as the elements."""

from __future__ import annotations

from tzrec.config.query import QueryWidth

QUERY = QueryWidth.EQUAL
