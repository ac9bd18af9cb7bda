"""What a run has consumed so far, and the bound on the validation split at milestones along the way.

    along/<images>/elbo      the bound on valid once that many images were seen, at the end of the step that saw them
    along/<images>/images    images seen then, up to M - 1 more
    along/<images>/seconds   training seconds until then; the clock stands still while anything is scored

Decoder passes are images times L. One run of a cell thus gives its bound at equal images, at equal decoder passes and
at equal seconds. Seconds of runs that share a machine are noisy: compare medians over seeds.
"""

from __future__ import annotations

import time

from torch import Tensor

from vaestudy.model.vae import VAE
from vaestudy.scoring import bounds


class MilestoneRecorder:
    """Counts images and training seconds, step by step."""

    def __init__(self, model: VAE, x_valid: Tensor, total: int) -> None:
        """`total`: images that the whole run will see; where there are milestones, its end is one."""
        self.model, self._x = model, x_valid
        self.images, self.seconds = 0, 0.0
        self.metrics: dict[str, float] = {}
        before_the_end = {milestone for milestone in model.config.milestones if milestone < total}
        self._ahead = sorted(before_the_end | {total}) if model.config.milestones else []
        self._started: float | None = None

    def resume(self, images: int, seconds: float, metrics: dict[str, float]) -> None:
        """Go on from where a checkpoint was written."""
        self.images, self.seconds, self.metrics = images, seconds, metrics
        self._ahead = [milestone for milestone in self._ahead if milestone > images]

    def start(self) -> None:
        self._started = time.perf_counter()

    def stop(self) -> None:
        if self._started is not None:
            self.seconds += time.perf_counter() - self._started
        self._started = None

    def step(self, images: int) -> None:
        """To be called at the end of each training step, with the images it saw."""
        self.images += images
        if self._ahead and self.images >= self._ahead[0]:
            self.stop()
            self._record()
            self.start()

    def _record(self) -> None:
        elbo = bounds.elbo_terms(self.model, self._x, 1, "valid", "along").elbo.mean().item()
        while self._ahead and self.images >= self._ahead[0]:
            head = f"along/{self._ahead.pop(0)}"
            self.metrics |= {
                f"{head}/elbo": elbo,
                f"{head}/images": float(self.images),
                f"{head}/seconds": self.seconds,
            }
