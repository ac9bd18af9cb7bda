"""Services for all rooms that concern the process: paths, signals, random streams, provenance, terminal output."""
