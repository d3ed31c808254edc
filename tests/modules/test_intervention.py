from __future__ import annotations

import numpy as np
import pytest
import torch

from tzrec.errors import ConfigError
from tzrec.modules.intervention import Intervention, Subspace


def test_subspace_of_any_weights_is_orthonormal() -> None:
    space = Subspace(7, 3)
    torch.testing.assert_close(space(), space.weight.detach(), atol=1e-5, rtol=0)  # it starts orthonormal
    with torch.no_grad():
        space.weight.copy_(torch.randn(7, 3))
    directions = space()
    torch.testing.assert_close(directions.T @ directions, torch.eye(3), atol=1e-5, rtol=0)
    first = space.weight[:, 0].detach()
    torch.testing.assert_close(directions[:, 0], first / first.norm(), atol=1e-5, rtol=0)


def test_intervention_of_rank_one_replaces_direction() -> None:
    """The base has 5 in its direction (1, 0), the source 7 in its own (0, 1): 5 - 7 is added there; the other
    direction is unchanged."""
    intervention = Intervention(2, 2, 1, dropout_ratio=0.0)
    with torch.no_grad():
        intervention.base.weight.copy_(torch.tensor([[2.0], [0.0]]))
        intervention.source.weight.copy_(torch.tensor([[0.0], [3.0]]))
    base, source = torch.tensor([[5.0, 6.0]]), torch.tensor([[8.0, 7.0]])
    # b + (b R_b - s R_s) R_b' = (5, 6) + (5 - 7) (1, 0)
    np.testing.assert_allclose(intervention(base, source).detach(), [[3.0, 6.0]], atol=1e-5)


@pytest.mark.parametrize(("base", "source", "rank"), [(4, 4, 4), (4, 2, 3), (4, 4, 0)])
def test_intervention_with_invalid_rank_raises(base: int, source: int, rank: int) -> None:
    with pytest.raises(ConfigError, match=rf"{rank} is not in \[1, {min(base - 1, source)}\]"):
        Intervention(base, source, rank, 0.1)
