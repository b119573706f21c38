"""Candidate sources: a frame and an exemplar in, scored masks out. One file per method."""
