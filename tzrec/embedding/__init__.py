"""Tables, groups and what a model sees of them."""
