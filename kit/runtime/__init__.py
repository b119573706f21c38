"""Where models live and on which device they run."""
