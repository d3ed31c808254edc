"""Parts of a data set that is read once: its split, their assignment to ranks, and the directory of their results."""
