"""Rules of a config, one file per subject; each rule takes a `Checker` and reports problems to it."""
