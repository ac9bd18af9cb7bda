"""The scores of annealed importance sampling as a run records them: means, single images, the implied density."""

from __future__ import annotations

import math

import pytest
import torch

from vaestudy.config.run_config import RunConfig
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.ais import annealed
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.scoring.ais_scores import ais_scores
from vaestudy.scoring.bounds import elbo_terms, importance_weighted
from vaestudy.scoring.score import ELBO_DRAWS

CONFIG = RunConfig(pixels="dequantised", hidden=(7,), latent_dim=2, threads=1, ais_images=3, ais_temperatures=3,
                   ais_chains=2, ais_simulated=2, ais_split=False, ais_iwae=(4,), iwae=(2,))  # fmt: skip


def test_the_options_of_a_run_are_those_of_its_configuration() -> None:
    options = AisOptions.of_run(CONFIG)
    assert options == AisOptions(ais_temperatures=3, ais_chains=2, ais_images=3, ais_simulated=2, ais_workers=1)
    assert options.label(3) == "3x2x3"


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretised-logistic"])
def test_means_are_those_of_the_images(likelihood: str) -> None:
    model = VAE(CONFIG.with_changes(likelihood=likelihood))
    x = torch.rand((5, 784), generator=stream("test-ais-scores", "x"))
    options = AisOptions.of_run(model.config)
    found = ais_scores(model, x, options, (2, 4))
    implied = ("", "continuous_bernoulli_") if likelihood == "bernoulli" else ("",)
    assert set(found.by_image) == {f"{p}{name}" for p in implied for name in ("elbo", "iwae_2", "iwae_4", "ais")}
    scorers = {"": lambda model: model.likelihood, "continuous_bernoulli_": lambda model: model.likelihood.normalised}
    for prefix, p in zip(implied, (model.likelihood, model.likelihood.normalised), strict=False):
        ais = found.by_image[f"{prefix}ais"]
        assert found.metrics[f"{prefix}ais_3x2x3"] == pytest.approx(ais.mean().item())
        for bound in ("elbo", "iwae_2", "iwae_4"):
            difference = ais - found.by_image[f"{prefix}{bound}"]
            assert found.metrics[f"{prefix}looseness_{bound}_3x2x3"] == pytest.approx(difference.mean().item())
            error = difference.std().item() / math.sqrt(3)
            assert found.metrics[f"{prefix}looseness_{bound}_3x2x3_se"] == pytest.approx(error)
        assert f"{prefix}bdmc_gap_3x2x2" in found.metrics
        annealed_alone = annealed(model, x[:3], options, scorers[prefix])
        assert found.metrics[f"{prefix}ess_ais_3x2x3"] == pytest.approx(annealed_alone.ess.mean().item())
        assert found.metrics[f"{prefix}acceptance_ais_3x2x3"] == pytest.approx(annealed_alone.acceptance.mean().item())
        elbo = elbo_terms(model, x[:3], ELBO_DRAWS, "score", "elbo", likelihood=p).elbo
        assert torch.equal(found.by_image[f"{prefix}elbo"], elbo)
        iwae, ess = importance_weighted(model, x[:3], 4, p)
        assert torch.equal(found.by_image[f"{prefix}iwae_4"], iwae)
        assert found.metrics[f"{prefix}ess_iwae_4_3x2x3"] == pytest.approx(ess.mean().item())
    log_px = found.by_image[f"{implied[-1]}ais"].mean().item() / (784 * math.log(2))
    assert found.metrics["bits_per_dim_ais_3x2x3"] == pytest.approx((8 if likelihood == "bernoulli" else 0) - log_px)


def test_the_elbo_of_another_likelihood_has_the_same_kl() -> None:
    """The implied density adds its normaliser to each pixel of each draw, so the ELBOs differ by its mean."""
    model = VAE(CONFIG)
    x = torch.rand((3, 784), generator=stream("test-ais-scores", "x"))
    own = elbo_terms(model, x, 5, "score", "elbo")
    implied = elbo_terms(model, x, 5, "score", "elbo", likelihood=model.likelihood.normalised)
    assert torch.equal(own.kl, implied.kl)
    assert (implied.log_likelihood > own.log_likelihood).all()  # ln C is at least ln 2 for each pixel
    assert ((implied.log_likelihood - own.log_likelihood) >= 784 * math.log(2) - 1e-2).all()
