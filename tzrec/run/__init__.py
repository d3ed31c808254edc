"""A session and the loops over it."""
