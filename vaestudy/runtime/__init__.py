"""The process and its surroundings: paths, signals, random streams, provenance, terminal."""
