"""Images in memory: data sets, their fingerprints, and the pixel protocols."""
