"""What a run is: a frozen, validated configuration, to and from JSON, with one content hash.

Nothing slow is imported here, so a wrong flag is answered at once. The names that a field accepts are read from the
registries themselves (the dict at the foot of `likelihoods.py`, `sigma.py`, ...) without importing them: adding a
member there is all it takes for the command line to know it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from vaestudy.config import compatibility
from vaestudy.config.fields import Choice, Count, CountOrZero, Counts, Floor, Guard, Rate, _device
from vaestudy.config.messages import validated
from vaestudy.config.presets import PRESETS
from vaestudy.config.registry import (
    ACTIVATIONS,
    DATASETS,
    INITS,
    LIKELIHOODS,
    LR_SCALINGS,
    OBJECTIVES,
    OPTIMIZERS,
    PIXELS,
    RUN_FIGURES,
    SCHEDULES,
    SIGMAS,
)
from vaestudy.errors import BadInput, unknown_name


class RunConfig(BaseModel):
    """Everything that decides the outcome of one run. The same config on the same CPU gives the same bits."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    dataset: Annotated[str, AfterValidator(Choice("dataset", "auto", registry=DATASETS))] = "auto"
    """The images; auto is mnist where it is on disk or quickly downloaded, else mnist-5k."""
    valid_size: CountOrZero | None = None
    """Train images held out for validation [default: 5,000, or 500 of mnist-5k]."""
    subset: Count | None = None
    """Use only this many train images, and at most half as many of valid and of test: a look, not a result."""
    pixels: Annotated[str, AfterValidator(Choice("pixel protocol", registry=PIXELS))] = "grey"
    """How stored bytes become the x that is modelled."""
    latent_dim: Count = 10
    """D, the number of latent dimensions."""
    hidden: Counts = (256,)
    """Widths of the encoder's hidden layers; the decoder mirrors them."""
    activation: Annotated[str, AfterValidator(Choice("activation", registry=ACTIVATIONS))] = "relu"
    """The non-linearity of the hidden layers."""
    init: Annotated[str, AfterValidator(Choice("init", registry=INITS))] = "torch"
    """How weights start: torch's default for linear layers, Glorot uniform, or N(0, 0.01) as in the AEVB paper."""
    second_biases: bool = False
    """Give every layer a second bias vector, as the article's script does (changes Adam's step on biases only)."""
    likelihood: Annotated[str, AfterValidator(Choice("likelihood", registry=LIKELIHOODS))] = "bernoulli"
    """The decoder's distribution p(x|z)."""
    likelihood_scale: Annotated[str, AfterValidator(Choice("scale", "per-pixel", "learned", "fixed", "optimal"))] = (
        "per-pixel"
    )
    """The Gaussian's scale: per pixel from a head of its own, one learned number, one fixed number, or the optimum,
    fitted on train and frozen before anything is scored."""
    likelihood_mean: Annotated[str, AfterValidator(Choice("mean", "squashed", "free"))] = "squashed"
    """Whether the Gaussian's mean goes through a sigmoid."""
    likelihood_parameters: Annotated[str, AfterValidator(Choice("parameters", "mean-concentration", "alpha-beta"))] = (
        "mean-concentration"
    )
    """What the decoder's heads say of a Beta."""
    likelihood_sigma: Rate | None = None
    """The decoder's scale if it is fixed, or where it starts [default: 0.1; a scale per pixel starts where the head's
    first weights put it]."""
    likelihood_floor: Floor | None = None
    """The decoder's scale is held at or above this [default: the likelihood's own]."""
    decoder_sigma: Annotated[str, AfterValidator(Choice("sigma", registry=SIGMAS))] = "log-variance"
    """How the decoder's head becomes the scale of p(x|z)."""
    sigma: Annotated[str, AfterValidator(Choice("sigma", registry=SIGMAS))] = "log-variance"
    """How the encoder's head becomes the scale of q(z|x)."""
    sigma_floor: Floor = 0.0
    """The encoder's sigma is held at or above this."""
    init_sigma: Rate | None = None
    """The encoder's sigma at the start, the same for every image [default: where the head's first weights put it]."""
    estimator: Annotated[str, AfterValidator(Choice("estimator", registry=OBJECTIVES))] = "sgvb-b"
    """The objective that is trained; every run is scored by the same bounds whatever this is."""
    minibatch: Count = 100
    """M, images in a step; the last, smaller minibatch of an epoch is used too."""
    samples: Count = 1
    """L, draws of z per image in a step; what they do is the estimator's (see estimators.py)."""
    reduction: Annotated[str, AfterValidator(Choice("reduction", "mean", "sum"))] = "mean"
    """The loss over a minibatch: mean over its images, or the article's sum."""
    log_guard: Guard = 0.0
    """Added inside the logarithms of the training loss (the article's 1e-8); scoring never uses it."""
    weight_prior: bool = False
    """Train under a N(0, I) prior on all weights (MAP), as the AEVB paper does."""
    optimizer: Annotated[str, AfterValidator(Choice("optimizer", registry=OPTIMIZERS))] = "adam"
    """The optimiser."""
    optimizer_epsilon: Rate = 1e-8
    """The optimiser's epsilon, in the denominator of its step."""
    learning_rate: Rate = 1e-3
    """The optimiser's step size."""
    lr_scaling: Annotated[str, AfterValidator(Choice("learning rate scaling", registry=LR_SCALINGS))] = "none"
    """How the step size grows with M: by nothing, or by the square root of M / 100, or by M / 100 itself."""
    schedule: Annotated[str, AfterValidator(Choice("schedule", registry=SCHEDULES))] = "constant"
    """How the step size changes over the epochs."""
    epochs: Count | None = None
    """Passes over the train images [default: 10, or 75 of mnist-5k, for updates of the same order]."""
    seed: CountOrZero = 0
    """Everything random in the run derives from it."""
    milestones: tuple[Count, ...] = ()
    """Images seen after which the bound on valid is recorded along the way, and at the end, with the seconds."""
    gradient_images: CountOrZero = 0
    """Train images on which the gradient's variance is measured at the start, after epoch 1 and at the end, or 0."""
    gradient_estimators: tuple[Annotated[str, AfterValidator(Choice("estimator", registry=OBJECTIVES))], ...] = ()
    """Estimators whose gradient is measured beside the run's own, at the same weights on the same draws."""
    class_scores: bool = False
    """Score at the end also what needs labels: neighbours in latent space, how a small classifier reads pictures."""
    threads: Count = 1
    """CPU threads; results are bit-identical only for the same number."""
    device: Annotated[str, AfterValidator(_device)] = "cpu"
    """Where to compute: cpu, cuda, cuda:N or mps."""
    iwae: Counts = (1, 10, 100)
    """The K of each importance-weighted bound L_K scored on test at the end, up to 5,000."""
    figures: Annotated[tuple[Annotated[str, AfterValidator(Choice("figure", registry=RUN_FIGURES))], ...], Field()] = (
        "reconstructions",
        "prior_means",
        "training_curves",
        "kl_per_dimension",
        "latent_means",
        "manifold",
        "traversals",
    )
    """Pictures to draw of the run; those that need D=2 or D>2 are left out where they do not apply."""

    @model_validator(mode="after")
    def _go_together(self) -> RunConfig:
        compatibility.require_compatible(self)
        return self

    @classmethod
    def preset(cls, name: str, **changes: Any) -> RunConfig:
        """The configuration of a published protocol, with `changes` on top.

        Raises:
            BadInput: `name` is no preset, or a change is not valid.
        """
        if name not in PRESETS:
            raise BadInput(unknown_name("preset", name, PRESETS))
        return validated(cls, PRESETS[name] | changes)

    def with_changes(self, **changes: Any) -> RunConfig:
        """This configuration with some fields changed, validated again."""
        return validated(type(self), self.model_dump() | changes)

    @property
    def key(self) -> str:
        """A content hash of all fields: 16 hexadecimal digits. A field that came later counts once it is set."""
        unset = {name for name in ADDED_LATER if getattr(self, name) == type(self).model_fields[name].default}
        canonical = json.dumps(self.model_dump(mode="json", exclude=unset), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


# Fields that came after the first results: what was run without them keeps its key.
ADDED_LATER = (
    *compatibility.OPTION_DEFAULTS,
    "sigma_floor",
    "init_sigma",
    "lr_scaling",
    "milestones",
    "gradient_images",
    "gradient_estimators",
    "class_scores",
)
