"""A study as data: its question, its factors, its cells."""
