"""DSSM: two towers with tables of their own."""

from __future__ import annotations

from tzrec.models.two_towers import TwoTowers


class DSSM(TwoTowers):
    """An MLP for the user and one for the item, compared by inner product or cosine.

    Huang et al., Learning Deep Structured Semantic Models for Web Search using Clickthrough Data, CIKM 2013.
    """
