"""Checkpoint files: the catalog, find, download, verify, load."""
