"""A million memories through the real write path: how fast, how large, how quick to search, how long to rebuild."""
