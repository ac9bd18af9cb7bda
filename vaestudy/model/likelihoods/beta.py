"""The Beta density on (0, 1), which the article names as the better fit for grey pixels."""

from __future__ import annotations

import torch
from scipy import special as scipy_special
from torch import Tensor

from vaestudy.config.registry import LikelihoodSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import CLIP, Scaled, Weighted, summed_log_prob
from vaestudy.model.likelihoods.gaussian import LOG_SQRT_2PI
from vaestudy.model.sigma import clamped
from vaestudy.model.special import binet


class Beta(Scaled):
    """x^(a - 1) (1 - x)^(b - 1) / B(a, b); the field `likelihood_parameters` selects how the heads give a and b.

    mean-concentration  a = m k, b = (1 - m) k with m = sigmoid(head) and k = 1 / s^2, s the scale
    alpha-beta          a = 1 / s_a^2, b = 1 / s_b^2, two scales per pixel

    x is clamped to [2^-24, 1 - 2^-24]. The head of m is clamped to [-7, 7], so the mean is at least 0.0009 away from
    the borders. This is no loss: the middle of the darkest grey value's cell is at 0.002.
    """

    MEAN_LIMIT = 7.0

    def __init__(self, config: RunConfig, spec: LikelihoodSpec) -> None:
        super().__init__(config, spec)
        self.by_shapes = config.likelihood_parameters == "alpha-beta"

    def shapes(self, head: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return (a, b): head [..., 2 P] -> each [..., P]."""
        if self.by_shapes:
            output_a, output_b = head.chunk(2, -1)
            a, b = (self._log_scale_of(output, log_guard) for output in (output_a, output_b))
            return (-2 * a).exp(), (-2 * b).exp()
        location, t = self.parts(head, log_guard)
        location, concentration = clamped(location, -self.MEAN_LIMIT, self.MEAN_LIMIT), (-2 * t).exp()
        return location.sigmoid() * concentration, (-location).sigmoid() * concentration

    def initialise_head(self, head: Weighted) -> None:
        if not self.by_shapes:
            super().initialise_head(head)
        elif self.initial is not None:
            with torch.no_grad():
                head.weight.zero_()
                head.bias.fill_(self.parameterisation.inverse(self.initial))

    def at_floor(self, head: Tensor) -> Tensor | None:
        return self.parameterisation.at_floor(head, self.floor) if self.by_shapes else super().at_floor(head)

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        return summed_log_prob(_beta, x.clamp(CLIP, 1 - CLIP), *self.shapes(head, log_guard))

    def mean(self, head: Tensor) -> Tensor:
        a, b = self.shapes(head)
        return a / (a + b)

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        a, b = self.shapes(head)
        both = torch.stack((a, b), -1).double()
        return torch._sample_dirichlet(both, generator=generator)[..., 0].to(head.dtype)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        a, b = (shape.detach().double().cpu() for shape in self.shapes(head))
        found = scipy_special.betainc(a.numpy(), b.numpy(), x.double().cpu().expand(a.shape).numpy())
        return torch.from_numpy(found).to(head.device)


def _beta(with_slopes: bool, x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return (log p of each pixel, its slopes in a and b if `with_slopes`).

    With k = a + b, m = a / k, n = b / k and Binet's mu, the large parts of the three ln Gamma cancel by algebra:

    ln p = a ln(x / m) + b ln((1 - x) / n) + ln(sqrt(k m n / 2 pi) / (x (1 - x))) + mu(k) - mu(a) - mu(b)
    """
    k = a + b
    m, n, rest = a / k, b / k, 1 - x
    log_x, log_rest = (x / m).log_(), (rest / n).log_()
    (mu_k, slope_k), (mu_a, slope_a), (mu_b, slope_b) = (binet(shape, with_slopes) for shape in (k, a, b))
    value = (k * m).mul_(n).sqrt_().div_(x * rest).log_().sub_(LOG_SQRT_2PI)
    value.addcmul_(a, log_x).addcmul_(b, log_rest).add_(mu_k).sub_(mu_a).sub_(mu_b)
    if slope_k is None or slope_a is None or slope_b is None:
        return value, ()
    common = slope_k.sub_(k.reciprocal_().mul_(0.5))
    by_a = log_x.add_(a.reciprocal().mul_(0.5)).sub_(slope_a).add_(common)
    by_b = log_rest.add_(b.reciprocal().mul_(0.5)).sub_(slope_b).add_(common)
    return value, (by_a, by_b)
