"""Object features: crops in, unit vectors out. One file per method."""
