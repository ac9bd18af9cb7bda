"""Tables of a study, one file a topic."""
