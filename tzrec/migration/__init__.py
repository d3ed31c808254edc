"""Moving over from other projects: their configs and checkpoints become those of this one."""
