"""Requirements of sequence encoders without torch: one file per encoder that has any."""
