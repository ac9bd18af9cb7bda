"""Every number that is reported, defined once."""
