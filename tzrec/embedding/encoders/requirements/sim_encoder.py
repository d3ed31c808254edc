"""Requirements of SIMEncoder: features that it names, no padding."""

from __future__ import annotations

from tzrec.config.group_features import GroupFeature
from tzrec.config.query import QueryWidth

QUERY = QueryWidth.ANY
IS_JAGGED = True
FEATURES = (
    GroupFeature("category", is_sequence=False, has_ids=True),
    GroupFeature("sequence_category", is_sequence=True, has_ids=True),
    GroupFeature("time_gap", is_sequence=True, has_ids=False),
)
