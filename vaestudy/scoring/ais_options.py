"""The options of annealed importance sampling, and the label under which its scores are recorded.

This file imports nothing slow, as the command line makes its flags from these fields.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from vaestudy.config.fields import Chains, Choice, Count, CountOrZero, Temperatures, Threads, plain_number
from vaestudy.config.run_config import RunConfig

Leapfrog = Annotated[int, Field(ge=1, le=10_000), BeforeValidator(plain_number)]
Schedule = Annotated[str, AfterValidator(Choice("schedule", "sigmoid", "linear"))]


class AisOptions(BaseModel):
    """The options of annealed importance sampling. The docstrings of the fields are the help of the flags."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ais_temperatures: Temperatures = 500
    """Number of temperatures from the prior to p(z|x), both ends included."""
    ais_chains: Chains = 10
    """Number of chains for each image."""
    ais_images: Count = 1_000
    """Number of test images, from the first. If there are fewer, all are used."""
    ais_schedule: Schedule = "sigmoid"
    """How the temperatures are spaced."""
    ais_leapfrog: Leapfrog = 10
    """Number of leapfrog steps of a transition."""
    ais_simulated: CountOrZero = 100
    """Number of simulated images on which the error of the method itself is measured; 0 leaves this out."""
    ais_split: bool = False
    """Split log p(x) - ELBO into two gaps: log p(x) minus the ELBO with the best q of each image, and this ELBO minus
    the one with the encoder's q."""
    ais_workers: Threads | None = None
    """Number of threads; it changes no result [default: the cores]."""

    @classmethod
    def of_run(cls, config: RunConfig) -> AisOptions:
        """Return the options with which a run is scored when it ends; its `ais_images` is above 0."""
        names = cls.model_fields.keys() & RunConfig.model_fields.keys()
        return cls(**{name: getattr(config, name) for name in names}, ais_workers=config.threads)

    def label(self, images: int) -> str:
        """Return the part of a metric's name that tells the settings: temperatures x chains x images.

        A schedule or a number of leapfrog steps other than the default follows, e.g. `500x10x1000-linear`.

        Args:
            images: the number of images that are scored.
        """
        text = f"{self.ais_temperatures}x{self.ais_chains}x{images}"
        if self.ais_schedule != "sigmoid":
            text += f"-{self.ais_schedule}"
        if self.ais_leapfrog != 10:
            text += f"-{self.ais_leapfrog}steps"
        return text
