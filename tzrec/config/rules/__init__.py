"""What can be wrong with a config, one file per subject; each rule takes Findings and adds to them."""
