"""A recipe → a finished folder: read, build, train, score, write."""
