"""Pictures of a study, one file a topic."""
