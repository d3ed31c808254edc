"""Faults by area; each module declares its own with `tests.chaos.fault.fault`."""
