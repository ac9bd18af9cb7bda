"""The interface of an architecture. Read this file to add one.

The package's architectures are in `mlp.py` and `conv.py` of this directory. The table of them is `registry.py`.

Shapes: M images, L draws of z per image, D latent dimensions, P pixels, F features.
    encoder: x [..., P] -> features [..., F]            then mu and sigma, which the VAE makes: F -> D each
    decoder: z [..., D] -> its own features [..., F']   then the head: F' -> heads * P
Leading dimensions are M for the encoder, and L, M for the decoder. A row x is the image channel by channel, row by row:
`x.view(-1, C, H, W)` is the image (`vaestudy/config/image_shape.py`).

To add an architecture:
    1. Write a subclass of `Architecture`, whose layers with weights are those of `vaestudy/model/layers.py`.
    2. Write a function of its sizes that imports no torch (`sizes.py`), from which memory is estimated.
    3. Declare it by an `ArchitectureSpec` (`vaestudy/config/registry.py`): in the table in `registry.py` if it belongs
       to the package, else by the decorator `ARCHITECTURES.part(...)`.

Three rules that all parts of the harness rely on. `vaestudy/conformance/architectures.py` checks them:
    * An image's features depend on this image alone. So there is no batch normalisation: with it, a score would depend
      on which other images are in the minibatch, and an image would have no gradient of its own.
    * The initial weights come from torch's global generator, which the VAE seeds.
    * Every weight belongs to a `Layer`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from vaestudy.config.image_shape import ImageShape
from vaestudy.config.registry import ACTIVATIONS, ARCHITECTURES
from vaestudy.config.run_config import RunConfig
from vaestudy.model.layers import Layer
from vaestudy.model.likelihoods.base import Likelihood


class Architecture(ABC):
    """The layers of a VAE's encoder and decoder. It makes them; the VAE keeps and initialises them.

    The VAE calls `encoder`, then `decoder`, then `head`, once each. `features` is read before the decoder is made.
    """

    features: int
    """F, the number of values that the encoder gives to the layers of mu and sigma. Set it in `__init__`."""

    def __init__(self, config: RunConfig, shape: ImageShape, likelihood: Likelihood) -> None:
        """Args:
        config: the configuration of the run.
        shape: the shape of an image.
        likelihood: the likelihood, whose `heads` and `outputs_adjacent` give the shape of the head.
        """
        self.config, self.shape, self.likelihood = config, shape, likelihood
        self.activation: Callable[[Tensor], Tensor] = ACTIVATIONS.load(config.activation)

    @abstractmethod
    def encoder(self) -> nn.Module:
        """Return the module x [..., P] -> features [..., F]."""

    @abstractmethod
    def decoder(self) -> nn.Module:
        """Return the module z [..., D] -> the features from which the head is computed."""

    @abstractmethod
    def head(self) -> Layer:
        """Return the last layer: features of the decoder -> [..., heads * P], in the likelihood's order.

        Likelihoods initialise the scale's outputs by the rows of its weight and bias (`Likelihood.initialise_head`). So
        the first dimension of both is ordered by heads: its second half belongs to the second of two heads.
        """


def make_architecture(config: RunConfig, shape: ImageShape, likelihood: Likelihood) -> Architecture:
    """Return the architecture that the configuration names."""
    made: Architecture = ARCHITECTURES.load(config.architecture)(config, shape, likelihood)
    return made
