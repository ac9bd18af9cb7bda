"""Images in memory: where data sets come from, how they are checked and cut, and what pixels are made of them.

`vaestudy.data(run)` is a public function, too: it calls `vaestudy.tracking.run_data.data`, which returns the images of
a run (`vaestudy/__init__.py` says why).
"""
