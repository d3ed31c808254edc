"""DSSMV2: DSSM whose towers share tables."""

from __future__ import annotations

from tzrec.models.two_towers import TwoTowers


class DSSMV2(TwoTowers):
    """Like DSSM; features of both towers with the same `embedding_name` are looked up in one table.

    With a sampler, features of both sides are in one data group, as `data_config.force_base_data_group` arranges it.
    """

    shares_tables = True
