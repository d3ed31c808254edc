"""Treatment of scores that an output directory has already."""

from __future__ import annotations

from typing import Literal

Existing = Literal["refuse", "overwrite", "append"]
"""Refuse to start, overwrite them when the new ones are complete, or add those of files that are not scored yet."""
