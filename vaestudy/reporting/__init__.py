"""Make tables, figures and files of a study from its tracked runs.

`runs_frame` turns the tracker's runs into one table of tidy runs; `grouping` splits it by levels. The sub-packages
`tables` and `figures` contain the parts that a study may name, one module per topic. `export` writes the files.

In the names and the printed texts of this sub-package a "cell" is one combination of levels with the runs of all its
seeds.
"""
