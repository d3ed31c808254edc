"""What can be wrong with a config, one file per subject; each rule takes Checker and adds to them."""
