"""Tables and figures of searches, read back from what a sweep run in MLflow has.

Only this sub-package of `reporting` imports optuna: it reads finished searches into studies in memory.
"""
