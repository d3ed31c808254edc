"""Feature types: one file per member of the `feature` oneof."""
