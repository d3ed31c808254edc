"""Requirements of DINEncoder: no padding."""

from __future__ import annotations

IS_JAGGED = True
