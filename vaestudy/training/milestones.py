"""Milestones of a run: the bound on valid, the images seen and the training seconds, recorded during training.

    along/<images>/elbo      the bound on valid after that many images, at the end of the step that reaches them
    along/<images>/images    images seen at that moment: the milestone, or up to M - 1 more
    along/<images>/seconds   training seconds up to that moment, without the time for scoring

The number of decoder passes is images times L. So one run of a cell gives its bound at equal images, at equal decoder
passes and at equal seconds. Seconds of runs that share a machine are noisy: compare medians over seeds.
"""

from __future__ import annotations

import time

from torch import Tensor

from vaestudy.model.vae import VAE
from vaestudy.scoring import bounds


class MilestoneRecorder:
    """A counter of images and training seconds that records the bound on valid at the milestones."""

    def __init__(self, model: VAE, x_valid: Tensor, total: int) -> None:
        """Args:
        model: the model under training; its configuration gives the milestones.
        x_valid: the validation images [N, P].
        total: number of images that the complete run will see. If there are milestones, this is one of them.
        """
        self.model, self._x = model, x_valid
        self.images, self.seconds = 0, 0.0
        self.metrics: dict[str, float] = {}
        before_the_end = {milestone for milestone in model.config.milestones if milestone < total}
        self._ahead = sorted(before_the_end | {total}) if model.config.milestones else []
        self._started: float | None = None

    def resume(self, images: int, seconds: float, metrics: dict[str, float]) -> None:
        """Continue from the values of a checkpoint: images seen, training seconds and metrics so far."""
        self.images, self.seconds, self.metrics = images, seconds, metrics
        self._ahead = [milestone for milestone in self._ahead if milestone > images]

    def start(self) -> None:
        """Start the clock of training seconds."""
        self._started = time.perf_counter()

    def stop(self) -> None:
        """Stop the clock of training seconds; no effect if it is stopped."""
        if self._started is not None:
            self.seconds += time.perf_counter() - self._started
        self._started = None

    def step(self, images: int) -> None:
        """Count the images of one training step, and record the milestones that it reaches.

        Call this at the end of each step. The clock is stopped while the bound is computed.
        """
        self.images += images
        if self._ahead and self.images >= self._ahead[0]:
            self.stop()
            self._record()
            self.start()

    def _record(self) -> None:
        """Compute the bound on valid once, and record it for every milestone that has been reached."""
        elbo = bounds.elbo_terms(self.model, self._x, 1, "valid", "along").elbo.mean().item()
        while self._ahead and self.images >= self._ahead[0]:
            head = f"along/{self._ahead.pop(0)}"
            self.metrics |= {
                f"{head}/elbo": elbo,
                f"{head}/images": float(self.images),
                f"{head}/seconds": self.seconds,
            }
