"""The contract of every likelihood, with each of its options; a new member joins by being listed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vaestudy import options
from vaestudy.config import RunConfig
from vaestudy.likelihood import CLIP, LEVEL, Likelihood, Scaled
from vaestudy.likelihoods import LIKELIHOODS
from vaestudy.noise import stream
from vaestudy.pixels import PIXELS
from vaestudy.sigma import SIGMAS

BINARY = {"binarised", "stochastic"}


def make(name: str, **changes: object) -> Likelihood:
    """The likelihood `name` in float64, with some options changed."""
    return LIKELIHOODS[name](RunConfig(likelihood=name, pixels="dequantised", **changes)).double()


def variants() -> dict[str, tuple[str, dict[str, str]]]:
    """Each likelihood at its defaults, and with each value of each of its options."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for name, member in LIKELIHOODS.items():
        found[name] = (name, {})
        for field, values in member.options.items():
            found |= {f"{name} {value}": (name, {field: value}) for value in values if value != options.DEFAULTS[field]}
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
        self.x[0], self.x[1] = LEVEL / 3, 1 - LEVEL / 3  # the darkest and the brightest level
        shape = (self.L, self.M, self.likelihood.heads * self.P)
        self.head = (torch.randn(shape, generator=g, dtype=torch.float64) * 2).requires_grad_()

    def test_declares_itself(self, case: str) -> None:
        """What is read from the source without importing it is what the class holds."""
        name = VARIANTS[case][0]
        member, declared = LIKELIHOODS[name], options.of_likelihood(name)
        for attribute in ("family", "support", "refuses", "options"):
            assert declared[attribute] == getattr(member, attribute)
        assert declared.get("limits") == member.limits
        assert set(member.refuses) < set(PIXELS)
        assert set(member.options) <= set(options.DEFAULTS)
        assert member.family in ("bernoulli", "density", "mass")
        assert (member.family == "bernoulli") == (member.refuses.keys().isdisjoint(BINARY))
        assert make(name).describe()

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
        for edge in (LEVEL, 0.1, 0.5, 0.9, 1 - LEVEL):
            expected = self.likelihood.cdf(torch.full_like(head[:1, :, : self.P], edge), head[:1])[0]
            seen = (draws < edge).double().mean(0)
            if VARIANTS[case][0] == "bernoulli":
                seen = (draws <= edge).double().mean(0)
            elif case in MASSES:
                # Cells are cut by edges: compare at the cell's own lower end.
                lower = math.floor(edge / LEVEL) * LEVEL
                expected = self.likelihood.cdf(torch.full_like(head[:1, :, : self.P], lower), head[:1])[0]
                seen = (draws < lower).double().mean(0)
            error = (expected * (1 - expected) / len(draws)).sqrt() + 2 / len(draws)
            assert ((seen - expected).abs() < 4.5 * error).all(), edge


class _LogProb(torch.nn.Module):
    """`log_prob` as a module's forward, so that its parameters can be given."""

    def __init__(self, of: Likelihood) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
        return self.of.log_prob(x, head)


def constant_head(likelihood: Likelihood, values: list[float], pixels: int) -> torch.Tensor:
    """A head [1, 1, heads * pixels] that gives every pixel the same parameters."""
    v = torch.tensor(values, dtype=torch.float64)
    if likelihood.heads == 16:
        return v.repeat(pixels).view(1, 1, -1)
    return v.repeat_interleave(pixels).view(1, 1, -1)


@pytest.mark.parametrize("case", DENSITIES)
def test_densities_integrate_to_one(case: str) -> None:
    """By the midpoint rule in logit x, as a Beta may be infinite at the ends; over the real line for the Gaussian."""
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
        expected = (inside[1] - inside[0]).item()  # a Beta with a small shape holds mass beyond 2^-24
        assert total.item() == pytest.approx(expected, abs=2e-4)
        assert expected > 0.9 or name in ("beta", "logit-normal")


@pytest.mark.parametrize("case", DENSITIES)
def test_no_density_gives_a_grey_level_more_than_its_whole_cell(case: str) -> None:
    """E_u[log p((v + u) / 256)] <= ln(256 P(cell)) <= ln 256, so no bound on dequantised pixels exceeds 784 ln 256."""
    name, changes = VARIANTS[case]
    likelihood, n = make(name, **changes), 1000
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    for level in (0, 1, 128, 255):
        x = (level + u)[:, None] / 256
        inside = math.log((level + 0.5) / (255.5 - level))
        centres = (inside, (level + 0.5) / 256, 0.0)
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
    x = ((torch.arange(256, dtype=torch.float64) + 0.5) * LEVEL)[:, None]
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
PIXEL = st.one_of(st.floats(0, 1 - 2**-24, width=32), st.sampled_from([0.0, 2**-32, LEVEL, 1 - LEVEL, 1 - 2**-24]))


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
    if not options.takes(name, "decoder_sigma") or changes.get("likelihood_scale") in ("fixed", "optimal"):
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
    """What rounding may cost: the inputs' own rounding, magnified by the slopes, and some of the value's."""
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
    if isinstance(wide, Scaled) and wide.heads <= 2:
        scale = wide.parts(head.detach())[1].exp().min().item()
        z = 1 / scale**2
    rounding = 2**-23
    assert abs(found.item() - exact.item()) <= rounding * (40 + 8 * abs(exact.item()) + 8 * z)


class TestAgainstScipy:
    """In float64, far into the tails and at the ends of the scale."""

    x = np.array([CLIP, 1e-4, 0.3, 0.5, 0.999, 1 - 2.0**-24])

    def values(self, name: str, location: float, sigma: float, **changes: object) -> np.ndarray:
        likelihood = make(name, **changes)
        output = SIGMAS["log-variance"].inverse(sigma)
        head = constant_head(likelihood, [location, output], 1).expand(len(self.x), 1, -1)
        pixels = torch.from_numpy(self.x)[:, None]
        return likelihood.log_prob(pixels, head.transpose(0, 1))[0].numpy()

    @pytest.mark.parametrize("sigma", [0.0011, 0.1, 9.0])
    @pytest.mark.parametrize("location", [-40.0, -5.0, 0.0, 3.0, 40.0])
    def test_gaussians(self, location: float, sigma: float) -> None:
        m = 1 / (1 + math.exp(-location))
        np.testing.assert_allclose(self.values("gaussian", location, sigma), stats.norm.logpdf(self.x, m, sigma), 1e-10)
        free = self.values("gaussian", location, sigma, likelihood_mean="free")
        np.testing.assert_allclose(free, stats.norm.logpdf(self.x, location, sigma), 1e-10)
        held = min(max(location, -8 * sigma), 1 + 8 * sigma)
        exact = stats.truncnorm.logpdf(self.x, -held / sigma, (1 - held) / sigma, held, sigma)
        np.testing.assert_allclose(self.values("truncated-gaussian", location, sigma), exact, 1e-9, 1e-9)
        m = location
        exact = np.where(
            self.x < LEVEL,
            stats.norm.logcdf(LEVEL, m, sigma) - math.log(LEVEL),
            np.where(
                self.x >= 1 - LEVEL,
                stats.norm.logsf(1 - LEVEL, m, sigma) - math.log(LEVEL),
                stats.norm.logpdf(self.x, m, sigma),
            ),
        )
        np.testing.assert_allclose(self.values("clipped-gaussian", location, sigma), exact, rtol=1e-7, atol=1e-7)

    @pytest.mark.parametrize("sigma", [0.011, 1.0, 9.0])
    @pytest.mark.parametrize("location", [-7.0, 0.0, 3.0, 7.0])
    def test_beta(self, location: float, sigma: float) -> None:
        m, k = 1 / (1 + math.exp(-location)), sigma**-2
        exact = stats.beta.logpdf(self.x, m * k, (1 - m) * k)
        np.testing.assert_allclose(self.values("beta", location, sigma), exact, rtol=1e-8, atol=1e-8)
        likelihood = make("beta", likelihood_parameters="alpha-beta")
        outputs = [SIGMAS["log-variance"].inverse(s) for s in (sigma, 0.3)]
        head = constant_head(likelihood, outputs, 1).expand(1, len(self.x), -1)
        exact = stats.beta.logpdf(self.x, k, 0.3**-2)
        found = likelihood.log_prob(torch.from_numpy(self.x)[:, None], head)[0].numpy()
        np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-8)

    @pytest.mark.parametrize("sigma", [0.011, 1.0, 90.0])
    @pytest.mark.parametrize("location", [-40.0, 0.0, 3.0])
    def test_logit_normal(self, location: float, sigma: float) -> None:
        logit = np.log(self.x) - np.log1p(-self.x)
        exact = stats.norm.logpdf(logit, location, sigma) - np.log(self.x) - np.log1p(-self.x)
        np.testing.assert_allclose(self.values("logit-normal", location, sigma), exact, rtol=1e-10)

    @pytest.mark.parametrize("sigma", [0.0004, 0.05, 9.0])
    @pytest.mark.parametrize("m", [-5.0, 0.0, 0.3, 3.0])
    def test_discretised_logistic(self, m: float, sigma: float) -> None:
        v = np.floor(self.x * 256)
        low, high = stats.logistic.cdf(v / 256, m, sigma), stats.logistic.cdf((v + 1) / 256, m, sigma)
        tail = stats.logistic.sf(v / 256, m, sigma) - stats.logistic.sf((v + 1) / 256, m, sigma)
        mass = np.where(v == 0, high, np.where(v == 255, stats.logistic.sf(255 / 256, m, sigma), 0))
        inner = np.where(v / 256 > m, tail, high - low)
        with np.errstate(divide="ignore"):
            exact = np.log(np.where((v == 0) | (v == 255), mass, inner))
        found = self.values("discretised-logistic", m, sigma)
        seen = exact > -200  # differences of cdfs underflow; the product form does not
        np.testing.assert_allclose(found[seen], exact[seen], rtol=1e-6)
        assert np.isfinite(found).all()


class TestContinuousBernoulli:
    """Closed forms of Loaiza-Ganem & Cunningham 2019."""

    def log_c(self, y: float) -> float:
        a = math.log(y / (1 - y))
        x = 0.25
        head = torch.tensor([[[a]]], dtype=torch.float64)
        value = make("continuous-bernoulli").log_prob(torch.tensor([[x]], dtype=torch.float64), head).item()
        return value - x * math.log(y) - (1 - x) * math.log(1 - y)

    @pytest.mark.parametrize("y", [1e-9, 0.01, 0.1, 0.3, 0.48, 0.52, 0.7, 0.9, 0.999])
    def test_normaliser(self, y: float) -> None:
        assert self.log_c(y) == pytest.approx(math.log(2 * math.atanh(1 - 2 * y) / (1 - 2 * y)), rel=1e-9)

    @pytest.mark.parametrize("d", [0.0, 1e-12, 1e-6, -1e-3, 0.01])
    def test_normaliser_near_one_half(self, d: float) -> None:
        assert self.log_c(0.5 + d) == pytest.approx(math.log(2) + 4 / 3 * d**2 + 104 / 45 * d**4, abs=1e-10)

    def test_published_values(self) -> None:
        assert self.log_c(0.1) == pytest.approx(1.010339, abs=1e-6)
        assert math.exp(self.log_c(0.5)) == pytest.approx(2, rel=1e-12)

    @pytest.mark.parametrize("d", [1e-3, -5e-3])
    def test_mean_near_one_half(self, d: float) -> None:
        head = torch.logit(torch.tensor([0.5 + d], dtype=torch.float64))
        exact = 0.5 + d / 3 + 16 / 45 * d**3
        assert make("continuous-bernoulli").mean(head).item() == pytest.approx(exact, abs=1e-10)

    @pytest.mark.parametrize("y", [1e-6, 0.1, 0.8])
    def test_mean(self, y: float) -> None:
        head = torch.logit(torch.tensor([y], dtype=torch.float64))
        exact = y / (2 * y - 1) + 1 / (2 * math.atanh(1 - 2 * y))
        assert make("continuous-bernoulli").mean(head).item() == pytest.approx(exact, rel=1e-8)

    def test_is_what_a_bernoulli_implies(self) -> None:
        g = stream("test-implied")
        x = torch.rand(4, 9, generator=g, dtype=torch.float64)
        a = torch.randn(2, 4, 9, generator=g, dtype=torch.float64) * 5
        y = a.sigmoid()
        log_c = (2 * torch.atanh(1 - 2 * y) / (1 - 2 * y)).log().sum(-1)
        bernoulli = make("bernoulli")
        torch.testing.assert_close(bernoulli.normalised.log_prob(x, a), bernoulli.log_prob(x, a) + log_c)
        assert make("beta").normalised.log_prob is not None


class TestOptimalScale:
    def test_maximises_the_likelihood(self) -> None:
        """sigma^2 = the mean squared error over the pool: no other scale gives more."""
        g = stream("test-optimal")
        x = torch.rand(30, 8, generator=g, dtype=torch.float64)
        head = torch.randn(1, 30, 8, generator=g, dtype=torch.float64)
        likelihood = make("gaussian", likelihood_scale="optimal").train()
        best = likelihood.log_prob(x, head.clone().requires_grad_()).sum()
        mse = (x - head.sigmoid()).square().mean()
        assert likelihood.log_scale.exp().square().item() == pytest.approx(mse.item(), rel=1e-6)
        exact = -0.5 * x.numel() * (mse.log() + 1 + math.log(2 * math.pi))
        assert best.item() == pytest.approx(exact.item(), rel=1e-9)
        for factor in (0.97, 1.03):
            likelihood.refit(mse * factor)
            assert likelihood.eval().log_prob(x, head).sum() < best

    def test_stays_as_it_is_while_scoring(self) -> None:
        likelihood = make("gaussian", likelihood_scale="optimal")
        x, head = torch.rand(5, 8, dtype=torch.float64), torch.randn(1, 5, 8, dtype=torch.float64)
        before = likelihood.log_scale.clone()
        likelihood.eval().log_prob(x, head.requires_grad_())
        with torch.no_grad():
            likelihood.train().log_prob(x, head)
        assert torch.equal(likelihood.log_scale, before)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("name", [n for n in LIKELIHOODS if options.takes(n, "likelihood_sigma")])
def test_every_scale_starts_where_it_is_told(name: str, sigma: str) -> None:
    likelihood = make(name, decoder_sigma=sigma, likelihood_sigma=0.25)
    last = torch.nn.Linear(7, 2 * 3, dtype=torch.float64)
    likelihood.start(last)
    head = last(torch.randn(1, 4, 7, dtype=torch.float64))
    torch.testing.assert_close(likelihood.parts(head)[1].exp(), torch.full((1, 4, 3), 0.25, dtype=torch.float64))
    if name == "gaussian":
        learned = make(name, decoder_sigma=sigma, likelihood_sigma=0.25, likelihood_scale="learned")
        assert learned.parts(head[..., :3])[1].exp().item() == pytest.approx(0.25, rel=1e-6)


def test_at_the_floor() -> None:
    likelihood = make("gaussian", likelihood_floor=0.01)
    head = constant_head(likelihood, [0.0, 2 * math.log(0.009)], 3)
    assert likelihood.at_floor(head).all()
    torch.testing.assert_close(likelihood.parts(head)[1].exp(), torch.full((1, 1, 3), 0.01, dtype=torch.float64))
    assert not likelihood.at_floor(constant_head(likelihood, [0.0, 2 * math.log(0.011)], 3)).any()
    assert make("gaussian", likelihood_scale="fixed").at_floor(head) is None


@settings(deadline=None, max_examples=300, derandomize=True)
@given(a=st.floats(-60, 60, width=32), x=st.floats(0, 1, width=32))
def test_bernoulli_in_float32_against_float64(a: float, x: float) -> None:
    head, pixel = torch.tensor([[[a]]], requires_grad=True), torch.tensor([[x]])
    value = make("bernoulli").log_prob(pixel, head)
    value.backward()
    scored = LIKELIHOODS["bernoulli"](RunConfig()).log_prob(pixel, head.detach())
    wide = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    exact = x * torch.nn.functional.logsigmoid(wide) + (1 - x) * torch.nn.functional.logsigmoid(-wide)
    exact.backward()
    # e^-a is good to 2 roundings, y = 1 / (1 + e^-a) then to 3, the larger of y and 1 - y to 4, its logarithm, below
    # ln 2, to 6; and, unless x is 0 or 1, x a and a nearly cancel.
    rounding = 2**-24
    cancelled = 0 if x in (0, 1) else 2 * abs(a)
    for found in (value, scored):
        assert abs(found.item() - exact.item()) <= rounding * (6 + cancelled + abs(exact.item()))
    assert head.grad is not None
    assert wide.grad is not None
    assert head.grad.item() == pytest.approx(wide.grad.item(), rel=1e-5, abs=3e-7)


@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("pixels", [784, 97, 98, 1])
def test_bernoulli_by_products_of_many_pixels(scale: float, pixels: int) -> None:
    """A product of factors as small as they get, (1/2)^98 at a = 0, does not underflow, whatever their number."""
    g = stream("test-products")
    a, x = torch.randn(2, 5, pixels, generator=g) * scale, torch.rand(5, pixels, generator=g).round()
    exact = -torch.nn.functional.binary_cross_entropy_with_logits(
        a.double(), x.double().expand(a.shape), reduction="none"
    ).sum(-1)
    for head in (a, a.clone().requires_grad_()):  # as scoring and as training compute it
        found = LIKELIHOODS["bernoulli"](RunConfig()).log_prob(x, head)
        assert ((found - exact).abs() <= 2**-24 * (6 * pixels + 10 * exact.abs())).all()


def test_guarded_bernoulli_is_the_articles_formula() -> None:
    g = stream("test-guard")
    a = torch.randn(2, 4, 9, generator=g, dtype=torch.float64) * 6
    x = torch.rand(4, 9, generator=g, dtype=torch.float64)
    y = a.sigmoid()
    literal = (x * torch.log(y + 1e-8) + (1 - x) * torch.log(1 - y + 1e-8)).sum(-1)
    torch.testing.assert_close(make("bernoulli").log_prob(x, a, 1e-8), literal, rtol=1e-12, atol=1e-12)
