"""Runs of trials without training: their objective is a formula. For tests of what happens around a run."""

from __future__ import annotations

import math
from pathlib import Path

from vaestudy.config.run_config import RunConfig
from vaestudy.run.record import Record
from vaestudy.scoring.bounds import Metrics
from vaestudy.training.train import OnEpoch, StopTraining


def epoch_metrics(config: RunConfig, epoch: int) -> Metrics:
    """Return the metrics after an epoch: the objective is best at a learning rate of 0.01 and rises with the epoch."""
    value = -100 - (math.log10(config.learning_rate) + 2) ** 2 - config.minibatch / 100 - 5.0 / epoch
    value -= config.seed % 7 / 10
    return {"train/elbo": value - 1, "valid/elbo": value, "valid/kl": 20.0, "valid/log_likelihood": value + 20.0}


def formula_run(config: RunConfig, root: Path, on_epoch: OnEpoch) -> Record:
    """Do what `worker_pool.run_safely` does, by the formula."""
    history: list[Metrics] = []
    pruned_epoch = None
    for epoch in range(1, (config.epochs or 1) + 1):
        history.append(epoch_metrics(config, epoch))
        try:
            on_epoch(epoch, history[-1])
        except StopTraining:
            pruned_epoch = epoch
            break
    metrics: Metrics = {"seconds/total": 0.0} | ({"test/elbo": history[-1]["valid/elbo"]} if config.test_scores else {})
    if pruned_epoch is not None:
        metrics |= {
            "pruned/epoch": float(pruned_epoch),
            "pruned/epochs_saved": float((config.epochs or 1) - pruned_epoch),
        }
    facts = {"outcome": "complete" if pruned_epoch is None else "pruned", "code.revision": "abc"}
    data = {"name": "mnist-5k", "fingerprint": "f" * 64, "train": "60", "valid": "10", "test": "10"}
    return Record(config, metrics, history, [], {"config.json": b"{}"}, facts, data, pruned_epoch=pruned_epoch)
