"""The comparison of tracked runs: what differs in their configuration, and each score with a paired standard error."""
