"""Programs that faults run on the ranks instead of `tzrec train`."""
