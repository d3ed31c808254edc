"""Building blocks of models: modules constructed from plain values, without configs."""
