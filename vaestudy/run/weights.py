"""The file that stores a run's weights together with its configuration."""

from __future__ import annotations

import json
from dataclasses import asdict

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.model.vae import VAE


def pack_weights(model: VAE) -> bytes:
    """Return weights, configuration and image shape as one safetensors file, so that all are loaded together."""
    metadata = {"config": model.config.model_dump_json(), "shape": json.dumps(asdict(model.shape))}
    return save_tensors(model.state_dict(), metadata=metadata)


def unpack_weights(content: bytes) -> VAE:
    """Return the model that `pack_weights` packed, on the device of its configuration.

    A file without a shape is older than shapes: its images are 28 x 28.

    Raises:
        BadInput: the file is incomplete or damaged, or `pack_weights` did not write it.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        config = RunConfig.model_validate_json(metadata["config"])
        model = VAE(config, ImageShape(**json.loads(metadata["shape"])) if "shape" in metadata else DIGIT)
        model.load_state_dict(load_tensors(content))
    except Exception as error:
        raise BadInput(f"the weights cannot be read: {type(error).__name__}: {error}") from error
    return model.to(config.device)
