"""Loads the trained model of a tracked run."""

from __future__ import annotations

from pathlib import Path

from vaestudy.errors import BadInput
from vaestudy.run.trained_model import TrainedModel
from vaestudy.run.weights import WEIGHTS, unpack_weights
from vaestudy.runtime import addresses
from vaestudy.tracking.run_ids import require_known_run
from vaestudy.tracking.tracked_run import TrackedRun


def load(run: str | Path | TrackedRun, tracking_uri: str | None = None) -> TrainedModel:
    """Return the trained model of a tracked run, or of a file of weights, in evaluation mode without gradients.

    Args:
        run: the run's id, or its first digits; what `vaestudy.train` returned; or the path of a `.safetensors` file.
        tracking_uri: the address of the tracker [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db].

    Raises:
        BadInput: there is no such run or file, several runs have these first digits, or the weights cannot be read.
    """
    if isinstance(run, TrackedRun):
        return run.load()
    if isinstance(run, Path) or run.endswith(".safetensors"):
        try:
            return TrainedModel(unpack_weights(Path(run).read_bytes()))
        except OSError as error:
            raise BadInput(f"weights {run}: cannot be read: {error.strerror}") from None
    uri = addresses.tracking_uri(tracking_uri)
    require_known_run(run, uri)
    from vaestudy.tracking.mlflow_tracker import Tracker

    tracker = Tracker(uri)
    return TrainedModel(unpack_weights(tracker.read_file(tracker.full_run_id(run), WEIGHTS)))
