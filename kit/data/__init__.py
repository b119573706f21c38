"""Readers of data set layouts, and the drawn demo videos."""
