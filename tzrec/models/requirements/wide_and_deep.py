"""Requirements of WideAndDeep: its feature groups."""

from __future__ import annotations

from tzrec.config.model_groups import GroupRequirements

WIDE, DEEP = "wide", "deep"
GROUPS = GroupRequirements(required=(WIDE, DEEP))
