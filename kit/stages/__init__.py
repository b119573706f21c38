"""The pipeline: one module per stage, listed in `ORDER`."""
