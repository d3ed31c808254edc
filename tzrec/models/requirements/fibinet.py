"""Requirements of FiBiNET: products of pairs of features need features of equal widths."""

from __future__ import annotations

from tzrec.config.model_groups import FIRST_GROUP, GroupRequirements

GROUPS = GroupRequirements(equal_widths=(FIRST_GROUP,))
