"""The pipeline: one module per stage. What stages share has a leading underscore."""
