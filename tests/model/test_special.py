"""Tests of the special functions against scipy, in float64 and in float32."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special as exact

from vaestudy.model.likelihoods.base import CELL_WIDTH
from vaestudy.model.likelihoods.discretised import _log_one_minus_exp
from vaestudy.model.special import binet, exp, log1p_over, log_normal_cdf, normal_cdf, polynomial


def test_polynomial() -> None:
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    torch.testing.assert_close(polynomial(x, (3.0, -1.0, 0.5, 2.0)), 3 - x + 0.5 * x**2 + 2 * x**3)


def test_log1p_over() -> None:
    e = torch.tensor([0.0, 1e-30, 1e-9, 3e-8, 1e-7, 1e-3, 0.5, 1.0])
    expected = np.append(1.0, np.log1p(e[1:].double().numpy()) / e[1:].double().numpy())
    np.testing.assert_allclose(log1p_over(e).numpy(), expected, rtol=3e-7)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 2e-7), (torch.float32, 1e-5)])
def test_log_normal_cdf(dtype: torch.dtype, tolerance: float) -> None:
    z = torch.cat((torch.linspace(-12, 12, 2001), torch.tensor([-1e3, -8.0, 8.0, 1e3]))).to(dtype)
    value, slope = log_normal_cdf(z)
    wide = z.double().numpy()
    np.testing.assert_allclose(value.double().numpy(), exact.log_ndtr(wide), rtol=tolerance, atol=tolerance)
    mills = np.exp(-0.5 * wide**2 - exact.log_ndtr(wide)) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(slope.double().numpy(), mills, rtol=tolerance, atol=tolerance)
    near = z[z.abs() < 6]
    np.testing.assert_allclose(normal_cdf(near).numpy(), exact.ndtr(near.double().numpy()), rtol=2e-5, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 2e-5)])
def test_binet(dtype: torch.dtype, tolerance: float) -> None:
    z = torch.logspace(-5, 4, 400, dtype=torch.float64).to(dtype)
    value, slope = binet(z)
    assert slope is not None
    assert torch.equal(binet(z, slope=False)[0], value)
    w = z.double().numpy()
    mu = exact.gammaln(w) - ((w - 0.5) * np.log(w) - w + 0.5 * np.log(2 * np.pi))
    small = w < 50  # above 50, the literal formula for mu cancels and is not exact
    np.testing.assert_allclose(value.double().numpy()[small], mu[small], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(value.double().numpy()[~small], 1 / (12 * w[~small]), rtol=2e-5, atol=tolerance / 10)
    expected = exact.digamma(w) - np.log(w) + 0.5 / w
    np.testing.assert_allclose(slope.double().numpy()[small], expected[small], rtol=tolerance, atol=tolerance)


def test_log_one_minus_exp() -> None:
    r = torch.logspace(-4, 2, 200, dtype=torch.float64) * CELL_WIDTH * 100
    value, slope = _log_one_minus_exp(r)
    w = r.numpy()
    np.testing.assert_allclose(value.numpy(), np.log(-np.expm1(-w)), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(slope.numpy(), w / np.expm1(w), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("dtype", "eps"), [(torch.float32, 2.0**-24), (torch.float64, 2.0**-53)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_exp_is_exact_to_what_rounding_x_leaves(dtype: torch.dtype, eps: float, sign: float) -> None:
    x = torch.linspace(-60, 60, 100_001, dtype=dtype)
    wide = np.exp(sign * x.numpy().astype(np.longdouble))
    error = np.abs(exp(x, sign).numpy() - wide) / wide
    assert np.max(error / (3 + 2 * np.abs(x.numpy()))) < eps
    ends = torch.tensor([-math.inf, -1e9, 0.0, 1e9, math.inf], dtype=dtype) * sign
    assert exp(ends, sign).tolist() == [0, 0, 1, math.inf, math.inf]
