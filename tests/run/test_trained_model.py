"""A trained model for users: the same numbers as in training and scoring, for every form of the same images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.own_data import pictures
from vaestudy.config.image_shape import ImageShape
from vaestudy.config.registry import PIXELS
from vaestudy.config.run_config import RunConfig
from vaestudy.data.pixels import fixed
from vaestudy.errors import BadInput
from vaestudy.model.vae import VAE
from vaestudy.run.trained_model import TrainedModel
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.bounds import elbo_terms

SHAPE = ImageShape(8, 6)
IMAGES = torch.from_numpy(pictures(130, 8, 6))


def model_of(shape: ImageShape = SHAPE, **changes: Any) -> TrainedModel:
    """Return a model with random weights."""
    config = RunConfig(**({"hidden": (16,), "latent_dim": 3} | changes))
    vae = VAE(config, shape)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=stream("test", "weights")))
    return TrainedModel(vae.train())


def test_it_is_in_evaluation_mode_without_gradients() -> None:
    model = model_of()
    assert not any(module.training for module in model.modules())
    assert list(model.parameters())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    found = (*model.encode(IMAGES), model.decode(torch.zeros(2, 3)), model.sample(2), model.bound(IMAGES))
    assert not any(value.requires_grad for value in found)
    assert model.config.latent_dim == 3
    assert model.shape == SHAPE


@pytest.mark.parametrize("pixels", list(PIXELS))
def test_encode_takes_the_pixels_of_training_from_bytes_and_floats(pixels: str) -> None:
    """The encoder sees what the pixel protocol makes of the stored bytes, to the bit, 100 images at a time."""
    images = IMAGES if PIXELS[pixels].draw_once is None else 255 * (IMAGES > 127).to(torch.uint8)
    model = model_of(pixels=pixels, **({"likelihood": "gaussian"} if pixels == "dequantised" else {}))
    x = fixed(pixels, images.flatten(1), "test")
    with torch.no_grad():
        expected = [model.vae.encode(block) for block in x.split(100)]
    for given in (
        images,
        images.numpy(),
        images / 255,
        (images / 255).numpy(),
        images.numpy() / 255,
        images.flatten(1),
    ):
        q = model.encode(given)
        mean, sigma = q
        assert torch.equal(mean, torch.cat([each.mu for each in expected]))
        assert torch.equal(sigma, torch.cat([each.sigma for each in expected]))
        assert torch.equal(q.log_variance, torch.cat([each.log_variance for each in expected]))
    draws = pixels in ("stochastic", "dequantised")
    again = [model.encode(images, seed=seed).mu for seed in (1, 1, 2)]
    assert torch.equal(again[0], again[1])
    assert torch.equal(again[0], again[2]) != draws
    assert torch.equal(again[0], model.encode(images).mu) != draws


def test_bytes_that_a_protocol_would_have_drawn_are_refused() -> None:
    with pytest.raises(BadInput, match=r"of binarised-once images, which are drawn once: vaestudy.data\(run\)"):
        model_of(pixels="binarised-once").bound(IMAGES)


@pytest.mark.parametrize("shape", [SHAPE, ImageShape(8, 6, 3)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretised-logistic"])
def test_decode_returns_the_mean_image_in_the_shape_of_images(likelihood: str, shape: ImageShape) -> None:
    model = model_of(shape, likelihood=likelihood, pixels="dequantised")
    z = torch.randn((4, 5, 3), generator=stream("test", "z"))
    with torch.no_grad():
        rows = model.likelihood.mean(model.vae.decode(z.reshape(20, 3)))
    channels = () if shape.channels == 1 else (3,)
    means = model.decode(z)
    assert means.shape == (4, 5, 8, 6, *channels)
    planes = rows.reshape(4, 5, shape.channels, 8, 6)
    for channel in range(shape.channels):  # literally: channel by channel
        got = means if shape.channels == 1 else means[..., channel]
        assert torch.equal(got, planes[:, :, channel])
    one = model.decode(z[0, 0].tolist())
    assert one.shape == means.shape[2:]
    torch.testing.assert_close(one, means[0, 0], rtol=1e-5, atol=1e-6)
    assert torch.equal(model.decode(z.double().numpy()), means)


@pytest.mark.parametrize(
    "z", [torch.zeros(4, 2), torch.tensor(1.0), np.zeros((3, 2)), torch.zeros(2, 3).to(torch.cfloat)]
)
def test_decode_refuses_what_is_no_z(z: Any) -> None:
    with pytest.raises(BadInput, match=r"z has the shape .*must be real numbers, \[..., 3\], as latent_dim is 3"):
        model_of().decode(z)


def test_bound_is_the_elbo_of_each_image() -> None:
    """The defaults are those of the scores. The ELBO itself has its own tests (tests/scoring/test_bounds.py)."""
    model = model_of()
    x = IMAGES.flatten(1).float() / 255
    found = model.bound(IMAGES)
    assert found.dtype == torch.float64
    assert found.shape == (130,)
    assert torch.equal(found, elbo_terms(model.vae, x, 10, "score", "elbo").elbo)
    assert torch.equal(found, model.bound(IMAGES / 255))
    assert torch.equal(found, model.bound((IMAGES / 255).numpy().reshape(130, 8, 6, 1)))
    seeded = model.bound(IMAGES, samples=3, seed=1)
    assert torch.equal(seeded, elbo_terms(model.vae, x, 3, "python", "bound", 1).elbo)
    assert torch.equal(seeded, model.bound(IMAGES, samples=np.int64(3), seed=np.int64(1)))
    assert not torch.equal(seeded, model.bound(IMAGES, samples=3, seed=2))


def test_bound_by_hand() -> None:
    """With one draw, from the formulas: log p(x|z) - KL at z = mu + sigma eps, in float64."""
    model = model_of(likelihood="bernoulli", pixels="binarised")
    few = IMAGES[:7]
    q = model.encode(few)
    eps = torch.randn((1, 7, 3), generator=stream("python", "bound", 5, 0))[0]
    p = model.decode(q.mu + q.sigma * eps).double().flatten(1)
    x = (few > 127).flatten(1).double()
    log_px_z = (x * p.log() + (1 - x) * (1 - p).log()).sum(1)
    kl = 0.5 * (q.mu.double() ** 2 + q.sigma.double() ** 2 - 1 - (q.sigma.double() ** 2).log()).sum(1)
    torch.testing.assert_close(model.bound(few, samples=1, seed=5), log_px_z - kl, rtol=1e-5, atol=1e-4)


def test_sample() -> None:
    model = model_of()
    drawn, means = model.sample(250, seed=3), model.sample(250, seed=3, means=True)
    assert drawn.shape == means.shape == (250, 8, 6)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}  # a Bernoulli's
    assert torch.equal(drawn, model.sample(250, seed=3))
    assert not torch.equal(drawn, model.sample(250, seed=4))
    z = torch.randn((250, 3), generator=stream("python", "sample", "z", 3))
    assert torch.equal(means, model.decode(z))
    # The draws scatter about their means: each pixel of the mean over n images within 5 standard errors.
    error = (means * (1 - means)).double().sum(0).sqrt() / 250
    assert ((drawn.double().mean(0) - means.double().mean(0)).abs() < 5 * error).all()
    assert model_of(ImageShape(8, 6, 3)).sample(2).shape == (2, 8, 6, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.sample(0), "n 0: must be a whole number, 1 or more"),
        (lambda model: model.sample(1.5), "n 1.5: must be a whole number"),
        (lambda model: model.sample(1, seed=-1), "seed -1: must be a whole number, 0 or more"),
        (lambda model: model.bound(IMAGES, samples=0), "samples 0: must be a whole number, 1 or more"),
        (lambda model: model.bound(IMAGES, seed="a"), "seed 'a': must be a whole number, 0 or more"),
        (lambda model: model.bound(IMAGES.int()), "images are of int32"),
        (lambda model: model.encode(IMAGES[:, :5]), r"images have the shape \[130, 5, 6\]"),
    ],
)
def test_wrong_arguments_get_one_line(call: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        call(model_of())


def test_the_number_of_threads_is_set_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model_of(threads=1).bound(IMAGES)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
