"""Requirements of PoolingEncoder: no query, no padding."""

from __future__ import annotations

from tzrec.config.query import QueryWidth

QUERY = QueryWidth.UNUSED
IS_JAGGED = True
