"""From frames to a MOSEv2 submission archive, with the official score computed on the way."""
