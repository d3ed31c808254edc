"""What a column looks like, from one pass in bounded memory: distinct values, frequent ones, quantiles, moments."""
