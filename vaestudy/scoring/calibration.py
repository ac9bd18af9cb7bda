"""How well p(x|z) fits the pixels: errors of the mean, scales at their floor, histograms of grey values.

Shapes: N images, M images of a block, P pixels, D latent dimensions. z is drawn once from q(z|x) for each image, with
fixed noise. The docstring of scoring/score.py defines each number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.model.likelihoods.base import GREY_VALUES
from vaestudy.model.vae import VAE, Posterior
from vaestudy.runtime.random_streams import stream

BRIGHT = 250  # the lowest grey value that counts as near 1
PIT_BINS = 20
OWN = "own/"  # what the names of a likelihood's own scores begin with
# Images at a time. Each block has its own noise stream: another size would change the noise, and so the results.
BLOCK = 100

Sums = dict[str, Tensor]


@torch.no_grad()
def pixel_scores(model: VAE, x: Tensor) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return (metrics, histograms) of x [N, P].

    There are histograms for dequantised pixels only, and each sums to 1: `predicted` and `observed` over the grey
    values, `pit` over the bins of F(x|z).
    """
    total: Sums = {}
    for block, xs in enumerate(x.split(BLOCK)):
        for name, value in _sums(model, xs, stream("score", "pixels", block, device=x.device)).items():
            total[name] = total.get(name, 0) + value
    N = len(x)
    means: tuple[str, ...] = ("mse", "mae", "decoder_at_floor", "encoder_at_floor")
    means += tuple(name for name in total if name.startswith(OWN))
    metrics = {name: total[name].item() / N for name in means if name in total}
    share = total["negative"] / N
    metrics["negative_sigma_units"] = float((share > 0.5).sum())
    metrics["two_signed_sigma_units"] = float(((share > 0.01) & (share < 0.99)).sum())
    if "predicted" not in total:
        return metrics, {}
    shares = {name: total[name] / total[name].sum() for name in ("predicted", "observed", "pit")}
    predicted, observed, pit = shares.values()
    metrics |= {
        "mass_at_0": predicted[0].item(),
        "mass_at_0_data": observed[0].item(),
        "mass_near_1": predicted[BRIGHT:].sum().item(),
        "mass_near_1_data": observed[BRIGHT:].sum().item(),
        "histogram_distance": 0.5 * (predicted - observed).abs().sum().item(),
        "pit_distance": 0.5 * (pit - 1 / PIT_BINS).abs().sum().item(),
    }
    return metrics, {name: share.tolist() for name, share in shares.items()}


@torch.no_grad()
def pixel_errors(model: VAE, x: Tensor) -> Sums:
    """Return mse, mae and the likelihood's own scores of each image of x [N, P]: [N], float64.

    Their means are those of `pixel_scores`.
    """
    blocks = enumerate(x.split(BLOCK))
    parts = [_decoded(model, xs, stream("score", "pixels", block, device=x.device)) for block, xs in blocks]
    found = {"mse": torch.cat([part.mse for part in parts]), "mae": torch.cat([part.mae for part in parts])}
    return found | {name: torch.cat([part.own[name] for part in parts]) for name in parts[0].own}


@dataclass(frozen=True)
class _Decoded:
    """A block of images [M, P] after one draw of z for each."""

    q: Posterior
    head: Tensor
    """The decoder's output at the draws."""
    mse: Tensor
    """The mean squared difference of each image, [M], float64."""
    mae: Tensor
    """The mean absolute difference of each image, [M], float64."""
    own: Sums
    """The likelihood's own scores of each image: `own/NAME` -> [M], float64."""


def _decoded(model: VAE, x: Tensor, generator: torch.Generator) -> _Decoded:
    """Draw z once for each image of a block x [M, P], and compare E[x|z] with x."""
    q = model.encode(x)
    eps = torch.randn((1, *q.mu.shape), generator=generator, device=x.device)
    head = model.decode(q.draw(eps))[0]
    difference = (x - model.likelihood.mean(head)).double()
    own = {f"{OWN}{name}": values.double() for name, values in model.likelihood.scores(x, head).items()}
    return _Decoded(q, head, difference.square().mean(-1), difference.abs().mean(-1), own)


def _sums(model: VAE, x: Tensor, generator: torch.Generator) -> Sums:
    """Return the sums over the images of a block x [M, P], in float64.

    For each image these are means over pixels or latent dimensions, and counts.
    """
    likelihood, config = model.likelihood, model.config
    decoded = _decoded(model, x, generator)
    head = decoded.head
    found = {"mse": decoded.mse.sum(), "mae": decoded.mae.sum()} | _sigmas(model, decoded.q)
    found |= {name: values.sum() for name, values in decoded.own.items()}
    if (floored := likelihood.at_floor(head)) is not None:
        found["decoder_at_floor"] = floored.double().mean() * len(x)
    if config.pixels == "dequantised":
        found["predicted"] = _grey_value_counts(likelihood.sample(head, generator))
        found["observed"] = _grey_value_counts(x)
        cdf = likelihood.normalised.cdf(x, head).double().clamp(0, 1)
        found["pit"] = cdf.histc(PIT_BINS, 0, 1)
    return found


def _sigmas(model: VAE, q: Posterior) -> Sums:
    """Return, summed over images, how many sigma are negative per latent dimension and the share at the floor."""
    found = {"negative": (q.sigma < 0).double().sum(0)}
    if floor := model.config.sigma_floor:
        found["encoder_at_floor"] = (q.sigma.abs() <= floor * (1 + 1e-6)).double().mean(-1).sum()
    return found


def _grey_value_counts(x: Tensor) -> Tensor:
    """Count the pixels of each grey value, [256]. A pixel outside [0, 1] counts for the nearest grey value."""
    grey_value = (x.double() * GREY_VALUES).floor_().clamp_(0, GREY_VALUES - 1)
    return grey_value.histc(GREY_VALUES, -0.5, GREY_VALUES - 0.5)
