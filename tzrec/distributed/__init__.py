"""Process group, sharding plan, sharded model."""
