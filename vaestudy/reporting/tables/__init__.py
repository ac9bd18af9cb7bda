"""Tables of a study, one module per topic.

`summary` makes the table that every study has, with one row per combination of levels. The tables that a study may
name in addition are listed in `registry`. `formats` contains the labels and the text of numbers that all of them use.
"""
