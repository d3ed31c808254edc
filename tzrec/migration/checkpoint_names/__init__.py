"""Names that the modules of each model have in checkpoints of TorchEasyRec, in the module named after the model."""
