"""Compiled loops of the server."""
