"""One run, from its configuration to its record.

`vaestudy.run(config)` is a public function, too: it calls `vaestudy.run.execute.run` (`vaestudy/__init__.py` says why).
"""
