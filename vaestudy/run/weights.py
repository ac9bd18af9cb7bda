"""The file that stores a run's weights together with its configuration."""

from __future__ import annotations

import json

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.model.vae import VAE


def pack_weights(model: VAE) -> bytes:
    """Return weights and configuration as one safetensors file, so that one is never loaded without the other."""
    return save_tensors(model.state_dict(), metadata={"config": model.config.model_dump_json()})


def unpack_weights(content: bytes) -> VAE:
    """Return the model that `pack_weights` packed, on the device of its configuration.

    Raises:
        BadInput: the file is incomplete or damaged, or `pack_weights` did not write it.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        config = RunConfig.model_validate_json(json.loads(content[8 : 8 + length])["__metadata__"]["config"])
        model = VAE(config)
        model.load_state_dict(load_tensors(content))
    except Exception as error:
        raise BadInput(f"the weights cannot be read: {type(error).__name__}: {error}") from error
    return model.to(config.device)
