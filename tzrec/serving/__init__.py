"""Export of trained models as packages, and prediction with them."""
