"""Requirements of AutoInt: attention between features needs features of equal widths."""

from __future__ import annotations

from tzrec.config.model_groups import FIRST_GROUP, GroupRequirements

GROUPS = GroupRequirements(equal_widths=(FIRST_GROUP,))
