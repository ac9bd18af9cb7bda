"""vaestudy: train, score and compare variational auto-encoders (VAEs), and track every number in MLflow.

    import vaestudy as vs

    run = vs.train(vs.RunConfig(latent_dim=10))     # train, score and track one VAE
    model = vs.load(run.id)                         # a trained model: encode, decode, sample, bound
    images = vs.data(run.id)                        # the very images of a run
    result = vs.run_study(study)                    # run a declared study
    frame = vs.runs("latent-dims")                  # tracked runs as a data frame
    record = vs.run(vs.RunConfig(latent_dim=10))    # train and score one VAE; nothing is tracked

docs/python.md describes them. A public name is imported only when it is first used, so `import vaestudy` is quick.

`vaestudy.data` and `vaestudy.run` are public functions and packages at the same time: a call of the package calls the
function (`_FUNCTIONS`). Python sets a package as the attribute of its parent when it is imported, so a function of this
name would be lost with the first import from the package.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
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
    from vaestudy.data.layout import ArrayLike as ArrayLike
    from vaestudy.errors import BadInput as BadInput
    from vaestudy.errors import StudyIncomplete as StudyIncomplete
    from vaestudy.errors import TrackerUnavailable as TrackerUnavailable
    from vaestudy.model.likelihoods.base import Likelihood as Likelihood
    from vaestudy.model.likelihoods.base import Scaled as Scaled
    from vaestudy.model.vae import Posterior as Posterior
    from vaestudy.reporting.tracked_runs import runs as runs
    from vaestudy.run.execute import run as run
    from vaestudy.run.record import Record as Record
    from vaestudy.run.trained_model import TrainedModel as TrainedModel
    from vaestudy.study.declaration import Level as Level
    from vaestudy.study.declaration import Study as Study
    from vaestudy.study.search import Search as Search
    from vaestudy.study.search_space import Choices as Choices
    from vaestudy.study.search_space import FloatRange as FloatRange
    from vaestudy.study.search_space import IntRange as IntRange
    from vaestudy.sweep.study_run import StudyResult as StudyResult
    from vaestudy.sweep.study_run import run_study as run_study
    from vaestudy.sweep.worker_pool import WorkersLost as WorkersLost
    from vaestudy.tracking.load import load as load
    from vaestudy.tracking.run_data import RunData as RunData
    from vaestudy.tracking.run_data import data as data
    from vaestudy.tracking.single_run import train as train
    from vaestudy.tracking.tracked_run import TrackedRun as TrackedRun
    from vaestudy.training.divergence import NonFiniteLoss as NonFiniteLoss

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
    "ArrayLike",
    "BadInput",
    "Choices",
    "FloatRange",
    "IntRange",
    "Level",
    "Likelihood",
    "LikelihoodSpec",
    "NonFiniteLoss",
    "Posterior",
    "Record",
    "RunConfig",
    "RunData",
    "Scaled",
    "Search",
    "Study",
    "StudyIncomplete",
    "StudyResult",
    "TrackedRun",
    "TrackerUnavailable",
    "TrainedModel",
    "WorkersLost",
    "data",
    "load",
    "run",
    "run_study",
    "runs",
    "study_main",
    "train",
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
    "ArrayLike": "data.layout",
    "BadInput": "errors",
    "Choices": "study.search_space",
    "FloatRange": "study.search_space",
    "IntRange": "study.search_space",
    "Level": "study.declaration",
    "Likelihood": "model.likelihoods.base",
    "LikelihoodSpec": "config.registry",
    "NonFiniteLoss": "training.divergence",
    "Posterior": "model.vae",
    "Record": "run.record",
    "RunConfig": "config.run_config",
    "RunData": "tracking.run_data",
    "Scaled": "model.likelihoods.base",
    "Search": "study.search",
    "Study": "study.declaration",
    "StudyIncomplete": "errors",
    "StudyResult": "sweep.study_run",
    "TrackedRun": "tracking.tracked_run",
    "TrackerUnavailable": "errors",
    "TrainedModel": "run.trained_model",
    "WorkersLost": "sweep.worker_pool",
    "load": "tracking.load",
    "run_study": "sweep.study_run",
    "runs": "reporting.tracked_runs",
    "study_main": "cli.study",
    "train": "tracking.single_run",
}
"""Public name -> the module that defines it."""

_FUNCTIONS = {"data": "tracking.run_data", "run": "run.execute"}
"""Public function that is also the name of a package -> the module that defines it."""


class _CallablePackage(ModuleType):
    """A package that can be called: the public function of the same name is called."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the public function. It is imported at the call, because torch is slow to import."""
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(f"vaestudy.{_FUNCTIONS[name]}"), name)(*arguments, **named)


for _name in _FUNCTIONS:  # these packages have nothing in them but their modules, so they are quick to import
    importlib.import_module(f"vaestudy.{_name}")
    sys.modules[f"vaestudy.{_name}"].__class__ = _CallablePackage


if not TYPE_CHECKING:  # a type checker knows the names from above, and would take any other name for one, too

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that defines it.

        Raises:
            AttributeError: `name` is not a public name.
        """
        if name not in _MODULES:
            known = ", ".join(__all__)
            raise AttributeError(f"module 'vaestudy' has no attribute {name!r}; its public names: {known}")
        return getattr(importlib.import_module(f"vaestudy.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
