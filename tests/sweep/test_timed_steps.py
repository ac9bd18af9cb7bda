"""The forecast of the time of annealed importance sampling counts the gradients that it takes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vaestudy.config.run_config import RunConfig
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring import hmc
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.scoring.ais_scores import ais_scores, likelihoods_scored
from vaestudy.sweep.timed_steps import gradients_annealed


@pytest.mark.parametrize(("pixels", "times"), [("grey", 1), ("dequantised", 2)])
def test_the_number_of_gradients(pixels: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the number of rows whose slope is computed, but for the start and the ends of each pass."""
    counted = 0
    for name in ("_slope", "_value_and_slope"):
        original = getattr(hmc.LogLikelihood, name)

        def counting(self: hmc.LogLikelihood, z: Tensor, original: object = original) -> object:
            nonlocal counted
            counted += z.shape[0] * z.shape[1]
            return original(self, z)  # type: ignore[operator]

        monkeypatch.setattr(hmc.LogLikelihood, name, counting)
    model = VAE(RunConfig(hidden=(3,), latent_dim=1, pixels=pixels))
    options = AisOptions(ais_temperatures=60, ais_chains=2, ais_images=3, ais_simulated=2, ais_workers=1)
    x = torch.rand((3, 784), generator=stream("test-timed-steps"))
    ais_scores(model, x, options, ())
    assert likelihoods_scored(model) == times
    assert counted / times == pytest.approx(gradients_annealed(options), rel=0.05)
