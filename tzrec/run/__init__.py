"""Sessions, and one function for each command: train, evaluate, predict, export, check, importance, selection."""
