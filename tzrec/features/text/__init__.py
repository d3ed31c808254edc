"""Text values: cleaning, tokenizing, splitting and hashing."""
