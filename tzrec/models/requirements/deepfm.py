"""Requirements of DeepFM: its feature groups; the factorization machine needs features of equal widths."""

from __future__ import annotations

from tzrec.config.model_groups import GroupRequirements

WIDE, DEEP, FM = "wide", "deep", "fm"
GROUPS = GroupRequirements(required=(WIDE, DEEP), optional=(FM,), equal_widths=(FM, DEEP))
