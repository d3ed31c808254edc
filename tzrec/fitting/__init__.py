"""From what columns look like to what a config says about them."""
