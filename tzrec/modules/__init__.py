"""Neural blocks that take plain values."""
