"""vaestudy: variational auto-encoders, trained, scored and compared, with every number tracked.

model = vaestudy.load("0123abcd...")   # a tracked run's VAE, with its configuration in model.config
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaestudy.model.vae import VAE


def load(run: str, tracking_uri: str | None = None) -> VAE:
    """The trained VAE of a tracked run, or of a weights.safetensors file.

    Raises:
        BadInput: there is no such run, or its weights cannot be read.
    """
    from pathlib import Path

    from vaestudy.run.weights import unpack_weights
    from vaestudy.runtime import paths

    if run.endswith(".safetensors"):
        return unpack_weights(Path(run).read_bytes())
    from vaestudy.tracking.mlflow_tracker import Tracker

    return unpack_weights(Tracker(paths.tracking_uri(tracking_uri)).read_file(run, "weights.safetensors"))
