"""The execution of a study: trials, workers, progress. The only room that imports optuna."""
