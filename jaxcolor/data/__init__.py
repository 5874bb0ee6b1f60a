"""Data sets: archives, folders, and samples that need no network."""
