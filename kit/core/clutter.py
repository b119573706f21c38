"""Names that systems, not people, put between the files of a data set."""

# Synology, QNAP, Windows, macOS, Linux, Python.
_CLUTTER = frozenset({
    "@eadir", "@tmp", "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot",
    "$recycle.bin", "system volume information", "recycler", "thumbs.db", "ehthumbs.db",
    "desktop.ini", "__macosx", "network trash folder", "temporary items", "lost+found",
    "__pycache__", "icon\r",
})  # fmt: skip


def is_clutter(name: str) -> bool:
    """Whether a file or folder is hidden, or one that a system puts between those of people."""
    return name.startswith(".") or name.lower() in _CLUTTER
