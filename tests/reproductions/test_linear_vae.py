"""The exact values of the linear VAE are those of pPCA on MNIST, and pPCA's formula agrees with its maximum."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.reference import ppca_log_likelihood, ppca_maximum
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.reproductions.linear_vae import EXACT, PROTOCOL


def test_on_its_own_images_it_is_the_maximum() -> None:
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ torch.diag(
        torch.arange(1.0, 7.0, dtype=torch.float64)
    )
    for k in (1, 3, 5):
        assert ppca_log_likelihood(x, x, k).mean().item() == pytest.approx(ppca_maximum(x, k)[0], abs=1e-9)


@pytest.mark.needs_mnist
def test_the_declared_values_are_exact(mnist_root: Path) -> None:
    config = RunConfig.preset(PROTOCOL.name, dataset="mnist")
    data = datasets.load_splits(config, mnist_root)
    train, test = (each.images.flatten(1).double() / 255 for each in (data.train, data.test))
    assert (len(train), len(test)) == (60_000, 10_000)
    for D, value in EXACT.items():
        assert ppca_log_likelihood(train, test, D).mean().item() == pytest.approx(value, abs=6e-4)
