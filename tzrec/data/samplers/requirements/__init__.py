"""Requirements of samplers without torch: one file per sampler that has any."""
