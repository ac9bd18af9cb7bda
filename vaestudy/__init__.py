"""vaestudy: train, score and compare variational auto-encoders (VAEs), and track every number in MLflow.

    import vaestudy

    record = vaestudy.run(vaestudy.RunConfig(latent_dim=10, epochs=1))    # train and score one VAE; nothing is tracked
    model = vaestudy.load("0123abcd...")                                  # the VAE of a tracked run

A public name is imported only when it is first used, so `import vaestudy` itself is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaestudy.cli.study import study_main as study_main
    from vaestudy.config.registry import ACTIVATIONS as ACTIVATIONS
    from vaestudy.config.registry import ARCHITECTURES as ARCHITECTURES
    from vaestudy.config.registry import DATASETS as DATASETS
    from vaestudy.config.registry import LIKELIHOODS as LIKELIHOODS
    from vaestudy.config.registry import OBJECTIVES as OBJECTIVES
    from vaestudy.config.registry import OPTIMIZERS as OPTIMIZERS
    from vaestudy.config.registry import PIXELS as PIXELS
    from vaestudy.config.registry import RUN_FIGURES as RUN_FIGURES
    from vaestudy.config.registry import SCHEDULES as SCHEDULES
    from vaestudy.config.registry import SIGMAS as SIGMAS
    from vaestudy.config.registry import STUDY_FIGURES as STUDY_FIGURES
    from vaestudy.config.registry import STUDY_TABLES as STUDY_TABLES
    from vaestudy.config.registry import LikelihoodSpec as LikelihoodSpec
    from vaestudy.config.run_config import RunConfig as RunConfig
    from vaestudy.errors import BadInput as BadInput
    from vaestudy.model.likelihoods.base import Likelihood as Likelihood
    from vaestudy.model.likelihoods.base import Scaled as Scaled
    from vaestudy.run.execute import run as run
    from vaestudy.study.declaration import Level as Level
    from vaestudy.study.declaration import Study as Study
    from vaestudy.study.search import Search as Search
    from vaestudy.study.search_space import Choices as Choices
    from vaestudy.study.search_space import FloatRange as FloatRange
    from vaestudy.study.search_space import IntRange as IntRange
    from vaestudy.tracking.load import load as load

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "DATASETS",
    "LIKELIHOODS",
    "OBJECTIVES",
    "OPTIMIZERS",
    "PIXELS",
    "RUN_FIGURES",
    "SCHEDULES",
    "SIGMAS",
    "STUDY_FIGURES",
    "STUDY_TABLES",
    "BadInput",
    "Choices",
    "FloatRange",
    "IntRange",
    "Level",
    "Likelihood",
    "LikelihoodSpec",
    "RunConfig",
    "Scaled",
    "Search",
    "Study",
    "load",
    "run",
    "study_main",
]

_MODULES = {
    "ACTIVATIONS": "config.registry",
    "ARCHITECTURES": "config.registry",
    "DATASETS": "config.registry",
    "LIKELIHOODS": "config.registry",
    "OBJECTIVES": "config.registry",
    "OPTIMIZERS": "config.registry",
    "PIXELS": "config.registry",
    "RUN_FIGURES": "config.registry",
    "SCHEDULES": "config.registry",
    "SIGMAS": "config.registry",
    "STUDY_FIGURES": "config.registry",
    "STUDY_TABLES": "config.registry",
    "BadInput": "errors",
    "Choices": "study.search_space",
    "FloatRange": "study.search_space",
    "IntRange": "study.search_space",
    "Level": "study.declaration",
    "Likelihood": "model.likelihoods.base",
    "LikelihoodSpec": "config.registry",
    "RunConfig": "config.run_config",
    "Scaled": "model.likelihoods.base",
    "Search": "study.search",
    "Study": "study.declaration",
    "load": "tracking.load",
    "study_main": "cli.study",
}
"""Public name -> the module that defines it. `run` is missing: the package `vaestudy.run` is itself callable."""


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it.

    Raises:
        AttributeError: `name` is not a public name.
    """
    if name == "run":
        return importlib.import_module("vaestudy.run")
    if name not in _MODULES:
        raise AttributeError(f"module 'vaestudy' has no attribute {name!r}; its public names: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"vaestudy.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
