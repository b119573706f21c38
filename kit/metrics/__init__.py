"""Evaluation protocols over shared integer counts."""
