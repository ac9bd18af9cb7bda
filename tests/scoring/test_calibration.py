"""Tests of pixel scores and bits per dimension with models for which the right answer is known."""

from __future__ import annotations

import math

import pytest
import torch

from vaestudy.config.registry import LIKELIHOODS
from vaestudy.config.run_config import RunConfig
from vaestudy.data.pixels import dequantised
from vaestudy.model.likelihoods.base import GREY_VALUES
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring import score
from vaestudy.scoring.calibration import BRIGHT, PIT_BINS, pixel_scores


def constant(likelihood: str, *outputs: float, **changes: object) -> VAE:
    """Return a VAE that ignores its images: q is the prior, and the decoder outputs `outputs` for every pixel."""
    config = RunConfig(
        **({"likelihood": likelihood, "pixels": "dequantised", "hidden": (3,), "latent_dim": 2} | changes)
    )
    model = VAE(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("likelihood"):
                parameter.zero_()
        if outputs:
            model.head.bias.copy_(torch.tensor(outputs).repeat_interleave(784))
    return model.double()


@pytest.fixture
def images() -> torch.Tensor:
    bytes_ = torch.randint(0, 256, (120, 784), generator=stream("images"), dtype=torch.uint8)
    return dequantised(bytes_, stream("dequantise")).double()


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous-bernoulli", "categorical-256"])
def test_the_uniform_distribution_takes_eight_bits(likelihood: str, images: torch.Tensor) -> None:
    metrics = score.score(constant(likelihood), images[:30], torch.zeros(30, dtype=torch.int64), (1, 5)).metrics
    assert metrics["bits_per_dim"] == pytest.approx(8, abs=1e-12)
    assert metrics["bits_per_dim_se"] == pytest.approx(0, abs=1e-12)
    nats = {"bernoulli": -784 * math.log(2), "continuous-bernoulli": 0, "categorical-256": -784 * math.log(256)}
    assert metrics["elbo"] == pytest.approx(nats[likelihood], abs=1e-9)  # Bernoulli: -543.43, a fair coin per pixel
    assert ("continuous_bernoulli_iwae_5" in metrics) == (likelihood == "bernoulli")


def test_a_bernoullis_bits_if_its_output_is_the_mean(images: torch.Tensor) -> None:
    """A decoder whose output is the same everywhere, whatever z is: the bits are those of one density."""
    model = constant("bernoulli", 0.7)
    metrics = score.score(model, images, torch.zeros(120, dtype=torch.int64), (1, 5)).metrics
    y = 1 / (1 + math.exp(-0.7))
    low, high = 1e-9, 100.0
    for _ in range(100):  # the head b with the mean y: 1 / (1 - e^-b) - 1 / b = y, by bisection
        b = (low + high) / 2
        low, high = (b, high) if 1 / (1 - math.exp(-b)) - 1 / b < y else (low, b)
    log_p = (images.double() * b + math.log(b) - math.log(math.expm1(b))).sum(-1)
    assert metrics["mean_matched_bits_per_dim"] == pytest.approx(
        8 - log_p.mean().item() / (784 * math.log(2)), rel=1e-5
    )
    assert metrics["mean_matched_bits_per_dim"] != pytest.approx(metrics["bits_per_dim"], rel=1e-3)


@pytest.mark.parametrize(("likelihood", "offset"), [("gaussian", 8), ("discretised-logistic", 0)])
def test_bits_are_those_of_the_tightest_bound(likelihood: str, offset: float, images: torch.Tensor) -> None:
    metrics = score.score(constant(likelihood), images, torch.zeros(120, dtype=torch.int64), (5, 1)).metrics
    assert metrics["bits_per_dim"] == pytest.approx(offset - metrics["iwae_5"] / (784 * math.log(2)))
    assert metrics["bits_per_dim_se"] == pytest.approx(metrics["iwae_5_se"] / (784 * math.log(2)))


def test_a_bernoullis_bits_are_those_of_its_continuous_kin(images: torch.Tensor) -> None:
    """With the same weights, the two likelihoods give the same bits but different nats."""
    scores = {}
    for name in ("bernoulli", "continuous-bernoulli"):
        model = constant(name, 0.7)
        scores[name] = score.score(model, images, torch.zeros(120, dtype=torch.int64), (1, 5)).metrics
        assert type(model.likelihood) is LIKELIHOODS.load(name)
    a, b = scores.values()
    assert a["bits_per_dim"] == b["bits_per_dim"]
    assert a["continuous_bernoulli_iwae_5"] == b["iwae_5"]
    assert a["iwae_5"] < b["iwae_5"] - 100


@pytest.mark.parametrize("pixels", ["grey", "binarised", "stochastic"])
def test_other_pixels_have_no_bits_and_no_histograms(pixels: str, images: torch.Tensor) -> None:
    model = constant("bernoulli", pixels=pixels)
    scores = score.score(model, images.round(), torch.zeros(120, dtype=torch.int64), (1,))
    assert not {"bits_per_dim", "mass_at_0", "pit_distance"} & set(scores.metrics)
    assert scores.metrics["mse"] == pytest.approx(0.25)
    assert scores.histograms == {}


TRUE = {
    "continuous-bernoulli": (-4.0,),
    "beta": (-1.0, 1.0),
    "logit-normal": (-2.0, 0.5),
    "truncated-gaussian": (-3.0, -2.0),
    "clipped-gaussian": (0.1, -2.0),
    "discretised-logistic": (0.1, -5.0),
}


@pytest.mark.parametrize("likelihood", TRUE)
def test_a_true_model_is_calibrated(likelihood: str) -> None:
    """Pixels drawn from p(x|z) itself deviate only by sampling noise; those of another model deviate more."""
    model = constant(likelihood, *TRUE[likelihood])
    head = model.head.bias.detach().expand(200, -1)
    x = model.likelihood.sample(head, stream("true"))
    if model.likelihood.spec.family == "mass":
        x = x + (torch.rand(x.shape, generator=stream("u"), dtype=x.dtype) - 0.5) / GREY_VALUES
    metrics, histograms = pixel_scores(model, x)
    n = x.numel()
    # Half the sum of |error| over bins. Each error has the standard deviation sqrt(p / n), and E|error| is 0.8 of it.
    assert metrics["pit_distance"] < 1.5 * 0.4 * PIT_BINS * math.sqrt(1 / PIT_BINS / n)
    assert metrics["histogram_distance"] < 1.5 * 0.4 * math.sqrt(2 * GREY_VALUES / n)
    mean = model.likelihood.mean(head)[0, 0].item()
    assert metrics["mse"] == pytest.approx((x - mean).square().mean().item(), rel=1e-9)
    assert metrics["mae"] == pytest.approx((x - mean).abs().mean().item(), rel=1e-9)
    level = (x * GREY_VALUES).floor()
    assert metrics["mass_at_0_data"] == pytest.approx((level == 0).double().mean().item())
    assert metrics["mass_near_1_data"] == pytest.approx((level >= BRIGHT).double().mean().item())
    assert metrics["mass_at_0"] == pytest.approx(metrics["mass_at_0_data"], abs=6 / math.sqrt(n))
    assert [sum(values) for values in histograms.values()] == pytest.approx([1, 1, 1])
    other = pixel_scores(model, 1 - x)[0]
    assert other["pit_distance"] > 0.1
    assert other["histogram_distance"] > 0.1


def test_shares_at_the_floors(images: torch.Tensor) -> None:
    """Half of the pixels' scales are set below the decoder's floor, and one of two units' below the encoder's."""
    model = constant("gaussian", likelihood_floor=0.5, sigma_floor=0.25)
    with torch.no_grad():
        model.head.bias[784 : 784 + 392] = -3.0
        model.sigma.bias[0] = -9.0
    metrics = pixel_scores(model, images)[0]
    assert metrics["decoder_at_floor"] == 0.5
    assert metrics["encoder_at_floor"] == 0.5
    assert metrics["negative_sigma_units"] == metrics["two_signed_sigma_units"] == 0


def test_signs_of_a_raw_sigma(images: torch.Tensor) -> None:
    """Three units: sigma is always positive, always negative, or negative on images with a bright first pixel."""
    model = constant("bernoulli", sigma="raw", latent_dim=3, pixels="grey")
    with torch.no_grad():
        model.encoder[0].weight[0, 0] = 1.0
        model.sigma.bias.copy_(torch.tensor([1.0, -1.0, 0.3]))
        model.sigma.weight[2, 0] = -1.0
    metrics = pixel_scores(model, images)[0]
    assert metrics["negative_sigma_units"] == 1 + float((images[:, 0] > 0.3).double().mean() > 0.5)
    assert metrics["two_signed_sigma_units"] == 1


def test_epochs_to_95() -> None:
    values = [-500.0, -300.0, -120.0, -105.0, -101.0, -100.0]
    assert score.epochs_to_95([{"train/elbo": 0.0, "valid/elbo": v} for v in values]) == 3
    assert score.epochs_to_95([{"train/elbo": v} for v in values[::-1]]) == 1
