"""Column statistics, and suggestions for the config fields that follow from them."""
