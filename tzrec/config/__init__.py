"""Configs: loading, editing and checking."""
