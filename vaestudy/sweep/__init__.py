"""Executes sweeps: the driver, Optuna's trials, the workers, the progress display. No other room imports optuna."""
