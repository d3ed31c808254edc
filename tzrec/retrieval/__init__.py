"""Retrieval: an index of item vectors, and the items nearest to the vectors of users."""
