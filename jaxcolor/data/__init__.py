"""Data sets: archives, folders, and built-in samples."""
