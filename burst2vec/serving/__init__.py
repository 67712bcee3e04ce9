"""A saved model behind HTTP: clips are uploaded, and those that wait together are predicted together."""
