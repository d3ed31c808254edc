"""Small commands beside the verbs."""
