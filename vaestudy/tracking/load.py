"""Loads the trained model of a tracked run."""

from __future__ import annotations

from pathlib import Path

from vaestudy.model.vae import VAE
from vaestudy.run.weights import unpack_weights
from vaestudy.runtime import addresses


def load(run: str, tracking_uri: str | None = None) -> VAE:
    """Return the trained VAE of a tracked run, or of a file of weights.

    Args:
        run: the run's id, or the path of a `.safetensors` file.
        tracking_uri: the address of the tracker [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db].

    Raises:
        BadInput: there is no such run, or its weights cannot be read.
    """
    if run.endswith(".safetensors"):
        return unpack_weights(Path(run).read_bytes())
    from vaestudy.tracking.mlflow_tracker import Tracker

    return unpack_weights(Tracker(addresses.tracking_uri(tracking_uri)).read_file(run, "weights.safetensors"))
