"""A run that was trained and tracked in this process: what `vaestudy.train` returns. mlflow is not imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.run.record import Record
from vaestudy.run.trained_model import TrainedModel
from vaestudy.run.weights import WEIGHTS, unpack_weights
from vaestudy.scoring.bounds import Metrics

if TYPE_CHECKING:
    import pandas as pd

    from vaestudy.tracking.repetition import Comparison


@dataclass(frozen=True, repr=False)
class TrackedRun:
    """A run that was trained, scored and tracked."""

    id: str | None
    """The run's id in MLflow; None if its record waits on disk for the tracker."""
    record: Record
    """Everything that it left behind."""
    data_root: Path
    """The folder of the data sets."""
    notices: tuple[str, ...] = ()
    """Messages for the user about this run, one line each."""
    link: str | None = None
    """The address of the run's page in MLflow."""
    comparison: Comparison | None = None
    """The comparison with the tracked run that it repeats, if it repeats one."""

    @property
    def config(self) -> RunConfig:
        """Return its configuration, with the data set and what depends on it filled in."""
        return self.record.config

    @property
    def metrics(self) -> Metrics:
        """Return metric -> value: the scores on test, the times, and the train and valid metrics of the last epoch."""
        return self.record.history[-1] | self.record.metrics

    @property
    def history(self) -> pd.DataFrame:
        """Return the train/... and valid/... metrics: a row for each epoch, from 1, a column for each metric."""
        import pandas as pd

        epochs = pd.RangeIndex(1, len(self.record.history) + 1, name="epoch")
        return pd.DataFrame(self.record.history, index=epochs)

    def load(self) -> TrainedModel:
        """Return the trained model.

        Raises:
            BadInput: the run has no weights, as it was not scored (`test_scores=False`).
        """
        if WEIGHTS not in self.record.files:
            raise BadInput("the run has no weights: it was trained with test_scores=False")
        return TrainedModel(unpack_weights(self.record.files[WEIGHTS]))

    def __repr__(self) -> str:
        """Return the run's id and its main numbers."""
        named = ("test/elbo", "test/log_likelihood", "test/kl")
        scores = [f"{name}={self.metrics[name]:.2f}" for name in named if name in self.metrics]
        config = self.config
        about = [f"id={self.id!r}", f"dataset={config.dataset_name!r}", f"latent_dim={config.latent_dim}"]
        return f"TrackedRun({', '.join([*about, f'seed={config.seed}', *scores])})"
