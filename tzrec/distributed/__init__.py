"""Process group and sharded model."""
