"""Tracked runs to tables, pictures and files."""
