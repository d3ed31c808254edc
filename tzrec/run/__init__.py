"""Sessions, and one function for each verb: train, evaluate, predict, export, check, importance, selection."""
