"""Requirements of MultiWindowDINEncoder: no padding."""

from __future__ import annotations

IS_JAGGED = True
