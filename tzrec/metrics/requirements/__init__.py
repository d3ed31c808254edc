"""Requirements of metrics without torch: one file per oneof member that has any."""
