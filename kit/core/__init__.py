"""Shared nouns: types, masks, artifacts, configuration, errors. Knows no model and no method."""
