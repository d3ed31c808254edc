"""What an evaluation calls its numbers."""

from __future__ import annotations

from typing import Any

# members of a oneof of metrics whose name says how many ranks count
_CUT = {"recall_at_k": "recall", "ndcg": "ndcg", "mrr": "mrr"}


def metric_name(config: Any) -> str:
    """The name of a metric without the suffix of its task: `auc`, `recall@5`; "" where none is chosen.

    Args:
        config: a MetricConfig or TrainMetricConfig.
    """
    member = config.WhichOneof("metric") or ""
    if member not in _CUT:
        return member
    top_k = getattr(config, member).top_k
    return f"{_CUT[member]}@{top_k}" if top_k else _CUT[member]
