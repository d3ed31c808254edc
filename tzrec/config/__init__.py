"""Reading, editing and checking the config text."""
