"""From a trained model to a package and its predictions."""
