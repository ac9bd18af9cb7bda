"""The formulas of the sigma parameterisations. What each must pass is in `vaestudy/conformance/sigmas.py`."""

from __future__ import annotations

import math

import torch

from vaestudy.config.registry import SIGMAS
from vaestudy.config.run_config import RunConfig
from vaestudy.model.sigma import make_sigma
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream


def test_raw_keeps_the_sign_and_guards_as_the_article_does() -> None:
    sigma, log_variance = make_sigma("raw")(torch.tensor([-2.0, 0.0]), 1e-8)
    assert sigma.tolist() == [-2.0, 0.0]
    torch.testing.assert_close(log_variance, torch.tensor([4.0 + 1e-8, 1e-8]).log())


def test_formulas() -> None:
    output = torch.linspace(-12, 12, 97, dtype=torch.float64)
    exact = {
        "raw": output,
        "abs": output.abs(),
        "log-variance": (output / 2).exp(),
        "log-scale": output.exp(),
        "softplus": torch.nn.functional.softplus(output + math.log(math.e - 1)),
        "softplus-unshifted": torch.nn.functional.softplus(output),
        "squareplus": (output + (output**2 + 4).sqrt()) / 2,
        "exp-linear": torch.where(output < 0, output.exp(), 1 + output),
        "bounded": 0.001 + 1.999 * output.sigmoid(),
    }
    assert set(exact) == set(SIGMAS)
    for name, sigma in exact.items():
        torch.testing.assert_close(make_sigma(name)(output)[0], sigma, rtol=1e-10, atol=0)


def test_a_negative_sigma_is_the_positive_one_with_its_noise_reversed() -> None:
    """Claim C9, exactly: if the sign of the raw head and the sign of the noise are both reversed, nothing changes.

    The reversed noise has the same probability.
    """
    config = RunConfig(sigma="raw", latent_dim=5, hidden=(16,))
    plain, turned = VAE(config), VAE(config)
    with torch.no_grad():
        for parameter in turned.sigma.parameters():
            parameter.neg_()
    x = torch.rand(20, 784, generator=stream("test"))
    eps = torch.randn(3, 20, 5, generator=stream("test", "epsilon"))
    one, other = plain.encode(x), turned.encode(x)
    assert torch.equal(one.sigma, -other.sigma)
    assert (one.sigma < 0).any()
    assert torch.equal(one.kl(), other.kl())
    z = one.draw(eps)
    assert torch.equal(z, other.draw(-eps))
    assert torch.equal(one.log_prob(z), other.log_prob(z))
