"""The measures that an overlap_feature can take."""

from __future__ import annotations

METHODS = (
    *("query_common_ratio", "title_common_ratio", "is_contain", "is_equal", "index_of"),
    *("proximity_min_cover", "proximity_min_dist", "proximity_max_dist", "proximity_avg_dist"),
)
"""In the order of their numbers in `tzrec.features.kernels.pairs`."""
