"""Requirements of PoolingEncoder: no query."""

from __future__ import annotations

from tzrec.config.query import QueryWidth

QUERY = QueryWidth.UNUSED
