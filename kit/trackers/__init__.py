"""Promptable video segmenters as four verbs. One file per library."""
