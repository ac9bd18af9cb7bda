"""Figures of a study, one module per topic.

The figures that a study may name are listed in `registry`. `style` contains the heading that most of them share.
"""
