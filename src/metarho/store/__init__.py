"""Fits by content: the key of a problem, and results under their keys on disk."""
