"""Tests of scoring: the noise is fixed, memory is bounded, and other requests do not change a number."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal

from tests.reference import literal_decode, literal_posterior, small_vae
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring import bounds, score


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(230, 784, generator=stream("images"), dtype=torch.float64).round()


def test_scoring_again_gives_the_same_digits(images: torch.Tensor) -> None:
    model, labels = small_vae(), torch.arange(230) % 10
    assert score.score(model, images, labels, (1, 10)) == score.score(model, images, labels, (1, 10))


def test_another_k_moves_none_of_the_others(images: torch.Tensor) -> None:
    model, labels = small_vae(), torch.arange(230) % 10
    few, more = (score.score(model, images, labels, ks).metrics for ks in ((1, 10), (1, 3, 10)))
    assert {name: more[name] for name in few} == few
    assert set(more) - set(few) == {"iwae_3", "iwae_3_se", "ess_3"}


def test_importance_against_its_literal_twin(images: torch.Tensor) -> None:
    """The literal version uses torch.distributions on the same draws. K is large enough for several passes."""
    model, x, K = small_vae(), images[:100], 25
    bound, size = bounds.importance_weighted(model, x, K)
    generator = stream("score", "iwae", K, 0)
    mu, sigma, _ = literal_posterior(model, x)
    log_w = []
    for count in (10, 10, 5):
        for eps in torch.randn(count, 100, 3, generator=generator).double():
            z = mu + sigma * eps
            log_px_z = Independent(Bernoulli(logits=literal_decode(model, z)), 1).log_prob(x)
            log_pz = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1).log_prob(z)
            log_w.append(log_px_z + log_pz - Independent(Normal(mu, sigma), 1).log_prob(z))
    shift = torch.stack(log_w).max(0).values  # the weights themselves are too small for float64
    w = (torch.stack(log_w) - shift).exp()
    torch.testing.assert_close(bound, w.mean(0).log() + shift, rtol=0, atol=1e-4)
    torch.testing.assert_close(size, w.sum(0) ** 2 / (w**2).sum(0), rtol=1e-3, atol=0)


def test_bound_against_its_literal_twin(images: torch.Tensor) -> None:
    model, x = small_vae(), images[:100]
    b = bounds.elbo_terms(model, x, 2, "test")
    eps = torch.randn(2, 100, 3, generator=stream("test", 0)).double()
    mu, sigma, _ = literal_posterior(model, x)
    value = sum(Independent(Bernoulli(logits=literal_decode(model, mu + sigma * e)), 1).log_prob(x) for e in eps) / 2
    kl = 0.5 * (mu**2 + sigma**2 - 1 - (sigma**2).log()).sum(-1)
    assert torch.allclose(b.log_likelihood, value, rtol=0, atol=1e-6)
    assert torch.allclose(b.elbo, value - kl, rtol=0, atol=1e-6)


def test_standard_error_is_over_images() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64)
    found = bounds.mean_and_error("elbo", values)
    assert found["elbo"] == 3
    assert found["elbo_se"] == pytest.approx(values.std().item() / 2)
    assert math.isnan(bounds.mean_and_error("elbo", values[:1])["elbo_se"])


def test_classes_average_to_the_whole(images: torch.Tensor) -> None:
    scores = score.score(small_vae(), images, torch.arange(230) % 10, (1,))
    assert list(scores.per_class) == [str(c) for c in range(10)]
    mean = sum(row["elbo"] * row["images"] for row in scores.per_class.values()) / 230
    assert mean == pytest.approx(scores.metrics["elbo"], rel=1e-12)
    assert sum(scores.kl_per_dimension) == pytest.approx(scores.metrics["kl"], rel=1e-12)


def test_a_raw_sigma_of_either_sign_scores_alike(images: torch.Tensor) -> None:
    """KL does not depend on the sign of sigma. The sampled term changes only because the noise is mirrored."""
    model = small_vae(sigma="raw")
    before = bounds.elbo_terms(model, images, 200, "test")
    with torch.no_grad():
        for parameter in model.sigma.parameters():
            parameter.neg_()
    after = bounds.elbo_terms(model, images, 200, "test")
    torch.testing.assert_close(before.kl, after.kl)
    gap = (before.elbo - after.elbo).mean()
    assert abs(gap) < 4 * (before.elbo - after.elbo).std() / math.sqrt(230)


def test_memory_does_not_grow_with_k(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pass decodes more than ROWS_PER_PASS rows, whatever K is."""
    model, rows = small_vae(), []
    decode = model.decode

    def watched(z: torch.Tensor) -> torch.Tensor:
        rows.append(z.shape[0] * z.shape[1])
        return decode(z)

    monkeypatch.setattr(model, "decode", watched)
    bounds.importance_weighted(model, torch.rand(30, 784, dtype=torch.float64), 5_000)
    assert max(rows) <= bounds.ROWS_PER_PASS
    assert sum(rows) == 30 * 5_000
