"""Shared nouns: types, masks, images, artifacts, errors. Knows no model and no method."""
