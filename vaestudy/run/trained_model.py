"""A trained VAE for users: it takes images as they are, and returns images of their shape.

Shapes: n images of height H, width W and C channels, P = C H W; D latent dimensions. Users' images are [n, H, W] if
C = 1, else [n, H, W, C]. All results are on the CPU and have no gradient.

Images that go in are uint8 or float in [0, 1]; `data/layout.py` lists the shapes. A float x stands for the nearest of
256 grey levels. The run's pixel protocol then makes pixels of them, as in training. If the protocol draws
(`stochastic`, `dequantised`), its noise is that with which the run's test images were scored, or that of a seed.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vaestudy.config.image_shape import ImageShape
from vaestudy.config.registry import PIXELS
from vaestudy.config.run_config import RunConfig
from vaestudy.data.grey_levels import shape_text
from vaestudy.data.layout import ArrayLike, as_images, as_stored, as_tensor
from vaestudy.data.pixels import fixed, is_drawn_for
from vaestudy.errors import BadInput
from vaestudy.model.likelihoods.base import Likelihood
from vaestudy.model.vae import VAE, Posterior
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.bounds import IMAGES_PER_BLOCK, ROWS_PER_PASS, elbo_terms
from vaestudy.scoring.score import ELBO_DRAWS
from vaestudy.training import backend


class TrainedModel(nn.Module):
    """A trained VAE in evaluation mode. Its parameters have no gradient.

    `vae` is the VAE itself, which takes pixels [n, P] and returns the raw output of the decoder; a caller who wants
    gradients switches them on there.
    """

    def __init__(self, vae: VAE) -> None:
        """Wrap a VAE, and switch it to evaluation without gradients."""
        super().__init__()
        self.vae = vae
        self.eval()
        self.requires_grad_(False)

    @property
    def config(self) -> RunConfig:
        """Return the configuration of the run."""
        return self.vae.config

    @property
    def shape(self) -> ImageShape:
        """Return the shape of an image."""
        return self.vae.shape

    @property
    def likelihood(self) -> Likelihood:
        """Return p(x|z), the distribution of pixels."""
        return self.vae.likelihood

    @property
    def device(self) -> torch.device:
        """Return the device that computes."""
        return next(self.vae.parameters()).device

    def encode(self, images: ArrayLike, seed: int | None = None) -> Posterior:
        """Return q(z|x) of images: `mean, sigma = model.encode(images)`, each [n, D].

        sigma may be negative with a parameterisation that allows it; its absolute value is the standard deviation.

        Args:
            images: n images.
            seed: the seed of a pixel protocol that draws [default: the noise of the scores].

        Raises:
            BadInput: the images have another shape or type, or values out of range.
        """
        with self._computing():
            found = [self.vae.encode(x) for x in self._pixels(images, seed).split(IMAGES_PER_BLOCK)]
        return Posterior(*(torch.cat([getattr(q, name) for q in found]).cpu() for name in Posterior.__match_args__))

    def decode(self, z: ArrayLike) -> Tensor:
        """Return the mean images E[x|z]: z [..., D] -> [..., H, W], or [..., H, W, C] if there are channels.

        Raises:
            BadInput: z has not D numbers in its last dimension.
        """
        values, D = as_tensor(z, "z"), self.config.latent_dim
        if not values.dim() or values.shape[-1] != D or values.is_complex():
            shown = f"z has the shape {shape_text(values.shape)}"
            raise BadInput(f"{shown}; must be real numbers, [..., {D}], as latent_dim is {D}")
        with self._computing():
            rows = values.to(self.device, torch.float32).reshape(-1, D).split(ROWS_PER_PASS)
            means = torch.cat([self.likelihood.mean(self.vae.decode(some)) for some in rows]).cpu()
        return as_images(means.reshape(*values.shape[:-1], self.shape.pixels), self.shape)

    def sample(self, n: int, seed: int = 0, means: bool = False) -> Tensor:
        """Return n images of the model: z from the prior N(0, I), then x from p(x|z).

        Args:
            n: how many.
            seed: the seed. The same seed gives the same z, whether draws or means are returned.
            means: return E[x|z] in place of draws of x, as pictures of VAEs usually do.

        Raises:
            BadInput: n is below 1, or no whole number; or the seed is none.
        """
        n, seed = _whole("n", n, 1), _whole("seed", seed, 0)
        z_noise, x_noise = (stream("python", "sample", what, seed, device=self.device) for what in ("z", "x"))
        with self._computing():
            z = torch.randn((n, self.config.latent_dim), generator=z_noise, device=self.device)
            heads = (self.vae.decode(some) for some in z.split(ROWS_PER_PASS))
            likelihood = self.likelihood
            drawn = [likelihood.mean(head) if means else likelihood.sample(head, x_noise) for head in heads]
        return as_images(torch.cat(drawn).cpu(), self.shape)

    def bound(self, images: ArrayLike, samples: int = ELBO_DRAWS, seed: int | None = None) -> Tensor:
        """Return the ELBO of each image, a lower bound on log p(x): [n], float64, in nats.

        As in the scores, the KL has its closed form and the weight 1, and the expectation of log p(x|z) is a mean over
        draws of z. With the defaults, the mean over the run's test images is the recorded `test/elbo`.

        Args:
            images: n images.
            samples: the number of draws of z for each image.
            seed: the seed of these draws, and of a pixel protocol that draws [default: the noise of the scores].

        Raises:
            BadInput: the images have another shape or type, or values out of range; or `samples` is below 1.
        """
        samples = _whole("samples", samples, 1)
        noise: tuple[str | int, ...] = (
            ("score", "elbo") if seed is None else ("python", "bound", _whole("seed", seed, 0))
        )
        with self._computing():
            return elbo_terms(self.vae, self._pixels(images, seed), samples, *noise).elbo.cpu()

    def _pixels(self, images: ArrayLike, seed: int | None) -> Tensor:
        """Return the pixels x [n, P] that the pixel protocol makes of images."""
        stored, protocol = as_stored(images, self.shape).to(self.device), self.config.pixels
        if not is_drawn_for(protocol, stored):
            raise BadInput(
                f"images have values between 0 and 1, but the model is of {protocol} images, which are drawn once: "
                "vaestudy.data(run) has those of its run"
            )
        if seed is None:
            return fixed(protocol, stored, "test")
        noise = stream("python", "pixels", _whole("seed", seed, 0), device=stored.device)
        x: Tensor = PIXELS.load(protocol)(stored, noise)
        return x

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Let torch compute as in the run, so that the bits are the same; then set the number of threads back."""
        threads = torch.get_num_threads()
        backend.configure(self.config, self.shape)
        try:
            with torch.no_grad():
                yield
        finally:
            torch.set_num_threads(threads)


def _whole(name: str, value: int, least: int) -> int:
    """Return a whole number.

    Raises:
        BadInput: it is none, or below `least`.
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = least - 1
    if found < least:
        raise BadInput(f"{name} {value!r}: must be a whole number, {least} or more")
    return found
