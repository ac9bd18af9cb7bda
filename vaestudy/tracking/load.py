"""Loads the trained model of a tracked run."""

from __future__ import annotations

from pathlib import Path

from vaestudy.errors import BadInput
from vaestudy.model.vae import VAE
from vaestudy.run.weights import unpack_weights
from vaestudy.runtime import addresses
from vaestudy.tracking.run_ids import require_known_run


def load(run: str, tracking_uri: str | None = None) -> VAE:
    """Return the trained VAE of a tracked run, or of a file of weights.

    Args:
        run: the run's id or the first digits of the id, or the path of a `.safetensors` file.
        tracking_uri: the address of the tracker [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db].

    Raises:
        BadInput: there is no such run or file, several runs have these first digits, or the weights cannot be read.
    """
    if run.endswith(".safetensors"):
        try:
            return unpack_weights(Path(run).read_bytes())
        except OSError as error:
            raise BadInput(f"{run}: cannot be read: {error.strerror}") from None
    uri = addresses.tracking_uri(tracking_uri)
    require_known_run(run, uri)
    from vaestudy.tracking.mlflow_tracker import Tracker

    tracker = Tracker(uri)
    return unpack_weights(tracker.read_file(tracker.full_run_id(run), "weights.safetensors"))
