"""Requirements of xDeepFM: its feature groups; the interaction network needs features of equal widths."""

from __future__ import annotations

from tzrec.config.model_groups import GroupRequirements

WIDE, DEEP = "wide", "deep"
GROUPS = GroupRequirements(required=(WIDE, DEEP), equal_widths=(WIDE,))
