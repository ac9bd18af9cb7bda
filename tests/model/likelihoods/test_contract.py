"""Tests that every likelihood must pass, with each of its options. A new likelihood in the table is tested, too."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.likelihoods import constant_head, make
from vaestudy.config import compatibility
from vaestudy.config.registry import LIKELIHOODS, PIXELS, SIGMAS
from vaestudy.model.likelihoods.base import CELL_WIDTH, Likelihood, Scaled
from vaestudy.model.likelihoods.beta import Beta
from vaestudy.runtime.random_streams import stream

BINARY = {"binarised", "stochastic", "binarised-once"}


def variants() -> dict[str, tuple[str, dict[str, str]]]:
    """Return label -> (name, changed options).

    These are each likelihood with the default options, and with each other value of each of its options.
    """
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for name, member in LIKELIHOODS.items():
        found[name] = (name, {})
        for field, values in member.options.items():
            found |= {
                f"{name} {value}": (name, {field: value})
                for value in values
                if value != compatibility.OPTION_DEFAULTS[field]
            }
    return found


VARIANTS = variants()
DENSITIES = [case for case, (name, _) in VARIANTS.items() if LIKELIHOODS[name].family == "density"]
MASSES = [case for case, (name, _) in VARIANTS.items() if LIKELIHOODS[name].family == "mass"]


@pytest.mark.parametrize("case", VARIANTS)
class TestEveryLikelihood:
    L, M, P = 3, 5, 6

    @pytest.fixture(autouse=True)
    def _prepare(self, case: str) -> None:
        name, changes = VARIANTS[case]
        self.likelihood = make(name, **changes)
        g = stream("test-likelihoods")
        self.x = torch.rand(self.M, self.P, generator=g, dtype=torch.float64)
        self.x[0], self.x[1] = CELL_WIDTH / 3, 1 - CELL_WIDTH / 3  # the darkest and the brightest grey value
        shape = (self.L, self.M, self.likelihood.heads * self.P)
        self.head = (torch.randn(shape, generator=g, dtype=torch.float64) * 2).requires_grad_()

    def test_declares_itself(self, case: str) -> None:
        """The spec is consistent, and `heads` is at most the `most_heads` from which memory is estimated."""
        name = VARIANTS[case][0]
        spec = LIKELIHOODS[name]
        assert set(spec.refusals) < set(PIXELS)
        assert set(spec.options) <= set(compatibility.OPTION_DEFAULTS)
        assert spec.family in ("bernoulli", "density", "mass")
        assert (spec.family == "bernoulli") == (spec.refusals.keys().isdisjoint(BINARY))
        assert (spec.limits is not None) == isinstance(self.likelihood, Scaled)
        assert self.likelihood.heads <= spec.most_heads
        assert spec.support in make(name).describe()

    def test_shapes(self, case: str) -> None:
        assert self.likelihood.log_prob(self.x, self.head).shape == (self.L, self.M)
        assert self.likelihood.mean(self.head).shape == (self.L, self.M, self.P)
        assert self.likelihood.sample(self.head, stream("test")).shape == (self.L, self.M, self.P)
        assert self.likelihood.cdf(self.x, self.head).shape == (self.L, self.M, self.P)

    @pytest.mark.parametrize("guard", [0.0, 1e-3])
    def test_gradient(self, case: str, guard: float) -> None:
        for x in (self.x, self.x.round()) if LIKELIHOODS[VARIANTS[case][0]].family == "bernoulli" else (self.x,):
            f = self.likelihood.eval().log_prob
            assert torch.autograd.gradcheck(lambda h, x=x, f=f: f(x, h, guard), (self.head,), fast_mode=True)

    def test_the_slope_in_the_head_is_the_gradient(self, case: str) -> None:
        (gradient,) = torch.autograd.grad(self.likelihood.eval().log_prob(self.x, self.head).sum(), self.head)
        slope = self.likelihood.head_slope(self.x, self.head.detach())
        assert not slope.requires_grad
        torch.testing.assert_close(slope, gradient, rtol=1e-12, atol=1e-12)

    def test_gradient_of_its_own_parameters(self, case: str) -> None:
        for name, parameter in self.likelihood.named_parameters():

            def value(p: torch.Tensor, name: str = name) -> torch.Tensor:
                return torch.func.functional_call(_LogProb(self.likelihood), {f"of.{name}": p}, (self.x, self.head))

            assert torch.autograd.gradcheck(value, (parameter,), fast_mode=True)

    def test_sample_has_the_mean(self, case: str) -> None:
        head = self.head.detach()[:1, :1].expand(5_000, 1, -1)
        draws, mean = self.likelihood.sample(head, stream("test-sample")), self.likelihood.mean(head)[0]
        error = draws.std(0) / math.sqrt(len(draws)) + 1e-6
        assert ((draws.mean(0) - mean).abs() < 4.5 * error).all()

    def test_samples_follow_the_distribution_function(self, case: str) -> None:
        head = self.head.detach()[:1, :1].expand(5_000, 1, -1)
        draws = self.likelihood.sample(head, stream("test-cdf"))
        for edge in (CELL_WIDTH, 0.1, 0.5, 0.9, 1 - CELL_WIDTH):
            expected = self.likelihood.cdf(torch.full_like(head[:1, :, : self.P], edge), head[:1])[0]
            seen = (draws < edge).double().mean(0)
            if VARIANTS[case][0] == "bernoulli":
                seen = (draws <= edge).double().mean(0)
            elif case in MASSES:
                # The edge may lie inside a cell. So compare at the lower end of the cell.
                lower = math.floor(edge / CELL_WIDTH) * CELL_WIDTH
                expected = self.likelihood.cdf(torch.full_like(head[:1, :, : self.P], lower), head[:1])[0]
                seen = (draws < lower).double().mean(0)
            error = (expected * (1 - expected) / len(draws)).sqrt() + 2 / len(draws)
            assert ((seen - expected).abs() < 4.5 * error).all(), edge


class _LogProb(torch.nn.Module):
    """A module with `log_prob` as its forward function, so that `functional_call` can replace its parameters."""

    def __init__(self, of: Likelihood) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
        return self.of.log_prob(x, head)


@pytest.mark.parametrize("case", DENSITIES)
def test_densities_integrate_to_one(case: str) -> None:
    """Integrate by the midpoint rule in logit x, because a Beta may be infinite at the ends.

    The Gaussian is integrated over the real line instead.
    """
    name, changes = VARIANTS[case]
    likelihood, n = make(name, **changes), 200_000
    for seed in range(4):
        values = torch.randn(likelihood.heads, generator=stream("test-norm", seed), dtype=torch.float64) * 1.5
        if name == "gaussian":
            width = torch.tensor(60.0, dtype=torch.float64)
            x = (torch.arange(n, dtype=torch.float64) + 0.5) / n * 2 * width - width
            measure = 2 * width / n
        else:
            logit = ((torch.arange(n, dtype=torch.float64) + 0.5) / n * 2 - 1) * 16.6  # x from 2^-24 to 1 - 2^-24
            x, measure = logit.sigmoid(), logit.sigmoid() * (-logit).sigmoid() * 33.2 / n
        head = constant_head(likelihood, values.tolist(), 1).expand(1, n, -1)
        total = (likelihood.log_prob(x[:, None], head)[0].exp() * measure).sum()
        ends = torch.tensor([x[0], x[-1]], dtype=torch.float64)[:, None]
        inside = likelihood.cdf(ends, head[0, :2])
        expected = (inside[1] - inside[0]).item()  # a Beta with a small a or b has mass between 2^-24 and the border
        assert total.item() == pytest.approx(expected, abs=2e-4)
        assert expected > 0.9 or name in ("beta", "logit-normal")


@pytest.mark.parametrize("case", DENSITIES)
def test_no_density_gives_a_grey_level_more_than_its_whole_cell(case: str) -> None:
    """E_u[log p((v + u) / 256)] <= ln(256 P(cell)) <= ln 256, so no bound on dequantised pixels exceeds 784 ln 256."""
    name, changes = VARIANTS[case]
    likelihood, n = make(name, **changes), 1000
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    for v in (0, 1, 128, 255):
        x = (v + u)[:, None] / 256
        inside = math.log((v + 0.5) / (255.5 - v))
        centres = (inside, (v + 0.5) / 256, 0.0)
        for location in centres:
            for scale in (-14.0, -8.0, -3.0, 0.0):
                head = constant_head(likelihood, [location, scale][: likelihood.heads], 1).expand(1, n, -1)
                mean = likelihood.log_prob(x, head).mean().item()
                ends = x[[0, -1]] + torch.tensor([[-0.5], [0.5]]) / n / 256
                cell = likelihood.cdf(ends.clamp(0, 1), head[0, :2])
                mass = max((cell[1] - cell[0]).item(), 0.0)
                assert mean <= math.log(256) + 1e-3
                assert mean <= math.log(256 * mass + 1e-300) + 1e-2 or mass < 1e-12


@pytest.mark.parametrize("case", MASSES)
def test_masses_sum_to_one(case: str) -> None:
    name, changes = VARIANTS[case]
    likelihood = make(name, **changes)
    x = ((torch.arange(256, dtype=torch.float64) + 0.5) * CELL_WIDTH)[:, None]
    for scale in (0.1, 1.0, 5.0, 50.0):
        values = torch.randn(likelihood.heads, generator=stream("test-mass"), dtype=torch.float64) * scale
        head = constant_head(likelihood, values.tolist(), 1).expand(1, 256, -1)
        mass = likelihood.log_prob(x, head)[0].exp()
        assert mass.sum().item() == pytest.approx(1, abs=1e-10)
        assert (mass * x[:, 0]).sum().item() == pytest.approx(likelihood.mean(head)[0, 0].item(), rel=1e-9)
        grey = (torch.arange(256) / 255)[:, None]
        torch.testing.assert_close(likelihood.log_prob(grey.double(), head), likelihood.log_prob(x, head))


CASES = st.sampled_from(list(VARIANTS))
OUTPUT = st.one_of(st.floats(-1e4, 1e4, width=32), st.floats(-30, 30, width=32), st.sampled_from([0.0, 1e-30, -88.0]))
PIXEL = st.one_of(
    st.floats(0, 1 - 2**-24, width=32), st.sampled_from([0.0, 2**-32, CELL_WIDTH, 1 - CELL_WIDTH, 1 - 2**-24])
)


@settings(deadline=None, max_examples=400, derandomize=True)
@given(case=CASES, values=st.tuples(OUTPUT, OUTPUT), x=PIXEL)
def test_finite_in_float32_whatever_the_decoder_says(case: str, values: tuple[float, float], x: float) -> None:
    name, changes = VARIANTS[case]
    likelihood = make(name, **changes).float()
    shown = [*values, *[0.0] * 14][: likelihood.heads]
    head = constant_head(likelihood, shown, 1).float().requires_grad_()
    value = likelihood.log_prob(torch.tensor([[x]]), head)
    value.backward()
    assert value.isfinite().all()
    assert head.grad is not None
    assert head.grad.isfinite().all()
    assert likelihood.mean(head.detach()).isfinite().all()


@settings(deadline=None, max_examples=200, derandomize=True)
@given(case=CASES, sigma=st.sampled_from(list(SIGMAS)), values=st.tuples(OUTPUT, OUTPUT), x=PIXEL)
def test_finite_with_every_sigma(case: str, sigma: str, values: tuple[float, float], x: float) -> None:
    name, changes = VARIANTS[case]
    if not compatibility.has_option(name, "decoder_sigma") or changes.get("likelihood_scale") in ("fixed", "optimal"):
        return
    likelihood = make(name, decoder_sigma=sigma, **changes).float()
    head = constant_head(likelihood, list(values)[: likelihood.heads], 1).float().requires_grad_()
    value = likelihood.log_prob(torch.tensor([[x]]), head)
    value.backward()
    assert value.isfinite().all()
    assert head.grad is not None
    assert head.grad.isfinite().all()


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    case=CASES,
    values=st.tuples(st.floats(-12, 12, width=32), st.floats(-12, 12, width=32)),
    x=st.floats(2**-20, 1 - 2**-20, width=32),
)
def test_float32_against_float64(case: str, values: tuple[float, float], x: float) -> None:
    """The error is at most the rounding of the inputs, magnified by the slopes, plus the rounding of the value."""
    name, changes = VARIANTS[case]
    wide = make(name, **changes)
    shown = [*values, *[0.0] * 14][: wide.heads]
    head = constant_head(wide, shown, 1).requires_grad_()
    pixel = torch.tensor([[x]], dtype=torch.float64, requires_grad=True)
    exact = wide.log_prob(pixel.detach(), head)
    exact.backward()
    narrow = make(name, **changes).float()
    found = narrow.log_prob(pixel.detach().float(), head.detach().float())
    assert head.grad is not None
    z = 1.0
    if isinstance(wide, Beta) and wide.by_shapes:
        z = max(shape.max().item() for shape in wide.shapes(head.detach()))  # both heads are scales
    elif isinstance(wide, Scaled) and wide.heads <= 2:
        scale = wide.parts(head.detach())[1].exp().min().item()
        z = 1 / scale**2
    rounding = 2**-23
    assert abs(found.item() - exact.item()) <= rounding * (40 + 8 * abs(exact.item()) + 8 * z)


@pytest.mark.parametrize("name", [name for name, spec in LIKELIHOODS.items() if spec.limits is not None])
def test_a_decoders_raw_scale_is_its_magnitude(name: str) -> None:
    """`raw` and `abs` give the same value and gradient, bit for bit.

    Therefore the study of the decoder's scale does not include `abs`.
    """
    x = torch.rand(4, 6, generator=stream("test"), dtype=torch.float64)
    head = torch.randn((2, 4, 12), generator=stream("test", "head"), dtype=torch.float64).requires_grad_()
    values, slopes = [], []
    for parameterisation in ("raw", "abs"):
        value = make(name, decoder_sigma=parameterisation).log_prob(x, head)
        values.append(value)
        slopes += torch.autograd.grad(value.sum(), head)
    assert torch.equal(*values)
    assert torch.equal(*slopes)
