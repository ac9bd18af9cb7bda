"""Data sets in memory, with their fingerprints, and the pixel protocols."""
