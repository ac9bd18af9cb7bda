"""Declares studies: the question, the factors and the cells, as plain data."""
