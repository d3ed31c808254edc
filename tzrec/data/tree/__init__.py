"""Trees of items for TDM: codes of nodes, construction, attributes of inner nodes, and their files."""
