"""The contract of every sigma parameterisation; a new member joins by being listed."""

from __future__ import annotations

import pytest
import torch

from vaestudy.noise import stream
from vaestudy.sigma import SIGMAS


@pytest.mark.parametrize("name", SIGMAS)
class TestEverySigma:
    def setup_method(self) -> None:
        self.output = torch.randn(40, 5, generator=stream("test-sigma"), dtype=torch.float64)

    def test_log_variance_is_that_of_sigma(self, name: str) -> None:
        sigma, log_variance = SIGMAS[name](self.output, 0.0)
        assert sigma.shape == log_variance.shape == self.output.shape
        torch.testing.assert_close(log_variance, sigma.square().log())

    def test_gradient(self, name: str) -> None:
        output = self.output.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda o: SIGMAS[name](o, 0.0), (output,))
        assert torch.autograd.gradcheck(lambda o: SIGMAS[name](o, 1e-3), (output,))


def test_raw_keeps_the_sign_and_guards_as_the_article_does() -> None:
    sigma, log_variance = SIGMAS["raw"](torch.tensor([-2.0, 0.0]), 1e-8)
    assert sigma.tolist() == [-2.0, 0.0]
    torch.testing.assert_close(log_variance, torch.tensor([4.0 + 1e-8, 1e-8]).log())
