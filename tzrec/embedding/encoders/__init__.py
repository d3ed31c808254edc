"""What turns the steps of a sequence group into one vector: one file per encoder."""
