"""Bursts from noise, and whether they are like real ones."""
