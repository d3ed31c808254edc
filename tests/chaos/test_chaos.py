"""The short faults of `make chaos`; the others take minutes."""

from __future__ import annotations

import pytest

from tests.chaos.fault import Fault, all_faults
from tests.chaos.injection import inject

SHORT = [fault for fault in all_faults() if fault.short]


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.description)
def test_fault_is_survived(fault: Fault) -> None:
    outcome = inject(fault)
    assert (outcome.lost_rows, outcome.repeated_rows) == (0, 0)
