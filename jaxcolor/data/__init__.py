"""Where images come from: archives, folders, and a sample that needs no network."""
