"""Searches for tests: Optuna studies with trials of all outcomes, without any training."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from vaestudy.config.run_config import RunConfig
from vaestudy.reporting.search.searched import Searched
from vaestudy.reporting.search.trials import study_in_memory
from vaestudy.study.declaration import Study
from vaestudy.study.search import Search
from vaestudy.study.search_space import Choices, FloatRange, IntRange, Space

SPACE: Space = {
    "sigma": Choices("raw", "log-variance"),
    "learning_rate": FloatRange(low=1e-4, high=1e-1, log=True),
    "hidden": Choices((128,), (256, 256)),
    "latent_dim": IntRange(low=2, high=20),
    "init_sigma": FloatRange(low=0.01, high=1.0, log=True, when={"sigma": ("log-variance",)}),
}
STATES = {"complete": "COMPLETE", "repeated": "COMPLETE", "pruned": "PRUNED", "infeasible": "PRUNED"}
EPOCHS = 4


def searched_study(**changes: Any) -> Study:
    """Return a study without factors that has a search, with some of its fields changed."""
    fields: dict[str, Any] = {
        "name": "tune",
        "doc": "How much is there to gain?",
        "base": RunConfig(),
        "search": Search(space=SPACE, trials=40, pruner="HyperbandPruner"),
        "tabulate": ("test/elbo", "test/kl"),
    }
    return Study(**(fields | changes))


def trials(*outcomes: str, objectives: int = 1, seed: int = 0, shift: float = 0.0) -> optuna.Study:
    """Return a study with a trial for each outcome; valid/elbo is best at a learning rate of 0.003."""
    rng = np.random.default_rng(seed)
    directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE][:objectives]
    study = study_in_memory(directions, "search")
    for number, outcome in enumerate(outcomes):
        params, distributions = _params(rng)
        value = -100 + shift - 10 * (math.log10(params["learning_rate"]) + 2.5) ** 2 + float(rng.normal())
        epochs = {"complete": EPOCHS, "pruned": 2, "diverged": 1, "failed": 1}.get(outcome, 0)
        curve = {} if objectives > 1 else {step: value - 50 / step for step in range(1, epochs + 1)}
        state = TrialState[STATES.get(outcome, "FAIL")]
        values = [value, 20 + float(rng.normal())][:objectives] if state is TrialState.COMPLETE else None
        attributes = {
            "outcome": outcome,
            "epochs": epochs,
            "epochs_saved": EPOCHS - epochs if outcome == "pruned" else 0,
            "worker": number % 2,
            "keys": [f"key{number}"],
            "run_ids": [f"run{number}"],
        }
        trial = create_trial(
            state=state,
            values=values,
            params=params,
            distributions=distributions,
            intermediate_values=curve,
            user_attrs=attributes,
            system_attrs={"constraints:memory": 1.0} if outcome == "infeasible" else None,
        )
        trial.datetime_start = datetime(2026, 1, 1) + timedelta(minutes=number)
        trial.datetime_complete = trial.datetime_start + timedelta(minutes=epochs / 2)
        study.add_trial(trial)
    return study


def _params(rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return the parameters of a trial, of which one is conditional, and their distributions."""
    distributions: dict[str, BaseDistribution] = {
        "sigma": CategoricalDistribution(["raw", "log-variance"]),
        "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
        "hidden": CategoricalDistribution(["128", "256x256"]),
        "latent_dim": IntDistribution(2, 20),
    }
    params: dict[str, Any] = {
        "sigma": str(rng.choice(["raw", "log-variance"])),
        "learning_rate": float(10 ** rng.uniform(-4, -1)),
        "hidden": str(rng.choice(["128", "256x256"])),
        "latent_dim": int(rng.integers(2, 21)),
    }
    if params["sigma"] == "log-variance":
        distributions["init_sigma"] = FloatDistribution(0.01, 1.0, log=True)
        params["init_sigma"] = float(10 ** rng.uniform(-2, 0))
    return params, distributions


def searched(studies: dict[str, optuna.Study], study: Study | None = None, **changes: Any) -> Searched:
    """Return the searches of a sweep, with some fields changed."""
    study = study or searched_study()
    assert study.search is not None
    fields = {"final": {}, "base": study.base.model_dump(mode="json"), "sweep": "mnist"}
    return Searched(study=study, search=study.search, studies=studies, **(fields | changes))  # type: ignore[arg-type]
