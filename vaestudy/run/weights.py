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

WEIGHTS = "weights.safetensors"
"""The name of the file in a run's record."""


def pack_weights(model: VAE) -> bytes:
    """Return weights, configuration and image shape as one safetensors file, so that all are loaded together.

    safetensors writes several entries of metadata in a random order. So there is one, and the same model gives the same
    bytes: the configuration if the images are 28 x 28, else the configuration with the shape.
    """
    if model.shape == DIGIT:
        return save_tensors(model.state_dict(), metadata={"config": model.config.model_dump_json()})
    both = {"config": model.config.model_dump(mode="json"), "shape": asdict(model.shape)}
    return save_tensors(model.state_dict(), metadata={"config_and_shape": json.dumps(both)})


def unpack_weights(content: bytes) -> VAE:
    """Return the model that `pack_weights` packed, on the device of its configuration.

    A file without a shape is of images of 28 x 28.

    Raises:
        BadInput: the file is incomplete or damaged, or `pack_weights` did not write it.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        both = json.loads(metadata["config_and_shape"]) if "config_and_shape" in metadata else {}
        config = RunConfig.model_validate(both["config"] if both else json.loads(metadata["config"]))
        model = VAE(config, ImageShape(**both["shape"]) if both else DIGIT)
        model.load_state_dict(load_tensors(content))
    except Exception as error:
        raise BadInput(f"the weights cannot be read: {type(error).__name__}: {error}") from error
    return model.to(config.device)
