"""One file per feature type: raw Arrow columns in, Column out."""
