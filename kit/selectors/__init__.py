"""Choice of anchors among candidates. One file per method."""
