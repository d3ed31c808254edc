"""Requirements of IdFeature: a bucketizer."""

from __future__ import annotations

from tzrec.config.rules.bucketizer import check_bucketizer as check

__all__ = ["check"]
