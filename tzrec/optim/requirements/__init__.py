"""Requirements of optimizers and schedules without torch: one file per oneof member that has any."""
