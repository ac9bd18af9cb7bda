"""The validated configuration of a run, and the registries of the parts that a configuration can name."""
