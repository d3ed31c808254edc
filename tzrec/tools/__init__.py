"""Commands for configs, data and features."""
