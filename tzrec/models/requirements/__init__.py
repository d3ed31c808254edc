"""Requirements of models without torch: one file per oneof member that has any, read by the checker and the model."""
