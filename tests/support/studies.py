"""Small studies for tests, and a function that reads their records."""

from __future__ import annotations

from pathlib import Path

import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from vaestudy.cli.study import study_main
from vaestudy.config.run_config import RunConfig
from vaestudy.runtime import addresses
from vaestudy.study.declaration import Study
from vaestudy.study.search import Search
from vaestudy.study.search_space import Choices, FloatRange
from vaestudy.tracking.mlflow_tracker import Tracker


def toy(**changes: object) -> Study:
    """Return a study with two cells per seed and two seeds that runs quickly, with some of its fields changed."""
    base = RunConfig(dataset="mnist-5k", subset=60, epochs=1, hidden=(16,), iwae=(1, 3), figures=(), minibatch=30)
    fields = {
        "name": "toy",
        "doc": "Does a toy work?\n\nMinutes: 0",
        "base": base,
        "factors": {"latent_dim": (2, 3)},
        "full": {"latent_dim": (5,)},
        "baseline": {"latent_dim": 2},
        "seeds": 2,
        "tabulate": ("test/elbo", "test/kl", "test/iwae_3", "test/active_units"),
    }
    return Study(**(fields | changes))


def by_likelihood(**changes: object) -> Study:
    """Return a variant of `toy` that compares likelihoods and, for the Gaussian, two kinds of scale."""
    base = toy().base.with_changes(pixels="dequantised", figures=("decoder_samples",))
    fields = {
        "base": base,
        "factors": {
            "likelihood": ("bernoulli", "gaussian"),
            "likelihood_scale": ("per-pixel", "optimal"),
            "latent_dim": (3,),
        },
        "full": {"likelihood": ("discretised-logistic",)},
        "baseline": {"likelihood": "bernoulli", "likelihood_scale": "per-pixel", "latent_dim": 3},
        "tabulate": ("test/bits_per_dim", "test/mse", "train/likelihood_over_kl", "epochs_to_95"),
        "figures": ("arms",),
        "gallery": "decoder_samples",
    }
    return toy(**(fields | changes))


def searching(search: dict[str, object] | None = None, **changes: object) -> Study:
    """Return a study with a quick search of two fields.

    Args:
        search: fields of the search that are changed.
        changes: fields of the study that are changed.
    """
    declared = {
        "space": {"learning_rate": FloatRange(low=1e-4, high=1e-1, log=True), "minibatch": Choices(15, 30)},
        "trials": 5,
        "sampler": "RandomSampler",
    }
    made = Search(**(declared | (search or {})))  # type: ignore[arg-type]
    fields = {"name": "toy-search", "factors": {}, "full": {}, "baseline": {}, "figures": (), "search": made}
    return toy(**(fields | changes))


def trials_of(
    mlruns: Path, arm: str = "search", sweep: str = "mnist-5k", name: str = "toy-search"
) -> list[FrozenTrial]:
    """Return Optuna's trials of a search.

    Args:
        mlruns: the folder of all records.
        arm: the name of the arm.
        sweep: the name of the sweep.
        name: the name of the study.
    """
    backend = optuna.storages.journal.JournalFileBackend(str(mlruns / "optuna" / name / f"{sweep}.journal"))
    return optuna.load_study(study_name=f"{sweep}/{arm}", storage=optuna.storages.JournalStorage(backend)).trials


def run_study(study: Study, *flags: str) -> int:
    """Run a study in this process; return the exit code."""
    return study_main(study, ["--workers", "0", *flags])


def recorded(mlruns: Path, sweep: str = "mnist-5k", name: str = "toy") -> tuple[pd.DataFrame, list[str]]:
    """Return the records of a sweep.

    Args:
        mlruns: the folder of all records.
        sweep: the name of the sweep.
        name: the name of the study.

    Returns:
        (MLflow's runs of the sweep's cells, the states of Optuna's trials).
    """
    tracker = Tracker(addresses.tracking_uri(None))
    experiment = tracker.experiments()[name]
    (parent,) = tracker.runs(experiment, {"role": "study", "sweep": sweep})["run_id"]
    backend = optuna.storages.journal.JournalFileBackend(str(mlruns / "optuna" / name / f"{sweep}.journal"))
    trials = optuna.load_study(study_name=sweep, storage=optuna.storages.JournalStorage(backend)).trials
    return tracker.runs(experiment, parent=parent), [t.state.name for t in trials]
