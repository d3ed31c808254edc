"""Chaos of a server: malformed requests, slow clients and dropped connections while versions are switched."""
