"""The configuration of a run: a frozen, validated model that is convertible to JSON and has one content hash.

Nothing slow is imported here, so a wrong flag is reported at once. The names that a field accepts come from the
registries (`config/registry.py`), without importing the code of their members. A new member of a registry is therefore
known to the command line without further changes.
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
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from vaestudy.config import compatibility
from vaestudy.config.fields import (
    Chains,
    Choice,
    Count,
    CountOrZero,
    Counts,
    Floor,
    Fraction,
    Guard,
    Rate,
    Seed,
    Temperatures,
    Threads,
    Weight,
    device_name,
)
from vaestudy.config.messages import NAMED_BY_CALLER, error_line, validated
from vaestudy.config.own_dataset import DIGEST_LETTERS, DatasetName, digest_text, is_own, short_name
from vaestudy.config.presets import PRESETS
from vaestudy.config.registry import (
    ACTIVATIONS,
    ARCHITECTURES,
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

ADDED_LATER = (
    *compatibility.OPTION_DEFAULTS,
    "sigma_floor",
    "init_sigma",
    "lr_scaling",
    "milestones",
    "gradient_images",
    "gradient_estimators",
    "class_scores",
    "test_scores",
    "beta",
    "kl_warmup",
    "free_bits",
    "lr_drops",
    "lr_drop_factor",
    "architecture",
    "data_digest",
    *compatibility.AIS_DEFAULTS,
)
"""Fields that were added after the first results were recorded. At its default, such a field does not change `key`."""


class RunConfig(BaseModel):
    """The configuration of one run. The same configuration on the same CPU gives bit-identical results.

    Raises:
        BadInput: a field is not valid, or the fields do not fit together; one line says which.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    dataset: Annotated[str, AfterValidator(DatasetName.of(DATASETS, "auto"))] = "auto"
    """The data set. auto means mnist if it is on disk or quick to download, else mnist-5k. Own data (docs/data.md): the
    path of a .npz or .npy file, or of a folder of PNG or JPEG files, with a slash in it; or package.module:function."""
    data_digest: Annotated[str, AfterValidator(digest_text)] = ""
    """SHA-256 of the content of own data. It is filled in when the data is read; if it is given, other content is
    refused. The run's key contains it in place of the data set's name, so a file may be moved."""
    valid_size: CountOrZero | None = None
    """Number of train images that are set aside for validation [default: 5,000, or 500 of mnist-5k; of own
    data a tenth of the train images, at most 5,000]."""
    subset: Count | None = None
    """Use only this many train images, and at most half as many of valid and of test. A quick look, not a result."""
    pixels: Annotated[str, AfterValidator(Choice.of(PIXELS))] = "grey"
    """The pixel protocol: how stored bytes v become the pixel values x that are modelled. grey: v / 255. binarised: 1
    above 127, else 0. stochastic: drawn from Bernoulli(v / 255) at each use. binarised-once: drawn so once, the same
    images for all runs. dequantised: (v + u) / 256 with u drawn from U(0, 1) at each use."""
    latent_dim: Count = 10
    """D, the number of latent dimensions."""
    architecture: Annotated[str, AfterValidator(Choice.of(ARCHITECTURES))] = "mlp"
    """The layers of the encoder and the decoder. mlp: fully connected layers. conv: strided convolutions with residual
    blocks, then fully connected layers."""
    hidden: Counts = (256,)
    """Widths of the encoder's hidden layers, fully connected. The decoder has the same widths in reverse order."""
    activation: Annotated[str, AfterValidator(Choice.of(ACTIVATIONS))] = "relu"
    """The activation function of the hidden layers. identity gives a linear VAE."""
    init: Annotated[str, AfterValidator(Choice.of(INITS))] = "torch"
    """How weights are initialised: torch's default for linear layers, Glorot uniform, or N(0, 0.01) as in the AEVB
    paper."""
    second_biases: bool = False
    """Give every layer a second bias vector, as the article's script does. It changes only Adam's step on biases."""
    likelihood: Annotated[str, AfterValidator(Choice.of(LIKELIHOODS))] = "bernoulli"
    """The decoder's distribution p(x|z)."""
    likelihood_scale: Annotated[str, AfterValidator(Choice("scale", "per-pixel", "learned", "fixed", "optimal"))] = (
        "per-pixel"
    )
    """The Gaussian's scale: one per pixel from a separate head, one learned number, one fixed number, or the optimal
    number, which is fitted on train and then frozen before any scoring."""
    likelihood_mean: Annotated[str, AfterValidator(Choice("mean", "squashed", "free"))] = "squashed"
    """Whether the Gaussian's mean passes through a sigmoid (squashed) or not (free)."""
    likelihood_parameters: Annotated[str, AfterValidator(Choice("parameters", "mean-concentration", "alpha-beta"))] = (
        "mean-concentration"
    )
    """Which parameters of a Beta the decoder's heads give."""
    likelihood_sigma: Rate | None = None
    """The decoder's scale if it is fixed, else its initial value [default: 0.1; a scale per pixel starts where the
    head's first weights put it]."""
    likelihood_floor: Floor | None = None
    """The lower limit of the decoder's scale [default: the likelihood's own]."""
    decoder_sigma: Annotated[str, AfterValidator(Choice.of(SIGMAS))] = "log-variance"
    """The sigma parameterisation that turns the decoder's head into the scale of p(x|z)."""
    sigma: Annotated[str, AfterValidator(Choice.of(SIGMAS))] = "log-variance"
    """The sigma parameterisation that turns the encoder's head into the scale of q(z|x)."""
    sigma_floor: Floor = 0.0
    """The lower limit of the encoder's sigma."""
    init_sigma: Rate | None = None
    """The encoder's initial sigma, the same for every image [default: where the head's first weights put it]."""
    estimator: Annotated[str, AfterValidator(Choice.of(OBJECTIVES))] = "sgvb-b"
    """The objective that a training step maximises. Scoring uses the same bounds for every objective."""
    beta: Weight = 1.0
    """The weight of the KL in the training objective (beta-VAE). Scoring always has weight 1."""
    kl_warmup: CountOrZero = 0
    """W, the number of epochs in which the weight of the KL rises linearly from 0 to beta. Step t of training, counted
    from 1 over all epochs, has the weight beta min(1, t / (W S)), where S is the number of steps in an epoch: the last
    step of epoch W is the first that has all of beta. 0 means beta from the first step."""
    free_bits: Weight = 0.0
    """Nats of KL that each latent dimension may use without a cost in training: where the minibatch's mean of a
    dimension's KL is below this number, the number takes its place in the objective (Kingma et al. 2016)."""
    minibatch: Count = 100
    """M, the number of images per step. The last minibatch of an epoch is used even if it is smaller."""
    samples: Count = 1
    """L, the number of draws of z per image in a step. The objective decides how they are used (docs/estimators.md)."""
    reduction: Annotated[str, AfterValidator(Choice("reduction", "mean", "sum"))] = "mean"
    """The loss of a minibatch: the mean over its images, or the sum, as in the article."""
    log_guard: Guard = 0.0
    """A number added inside the logarithms of the training loss (1e-8 in the article). Scoring never uses it."""
    weight_prior: bool = False
    """Train with a N(0, I) prior on all weights (MAP), as the AEVB paper does."""
    optimizer: Annotated[str, AfterValidator(Choice.of(OPTIMIZERS))] = "adam"
    """The optimiser. rmsprop-centred divides by the gradient's standard deviation, rmsprop by its root mean square."""
    optimizer_epsilon: Rate = 1e-8
    """The optimiser's epsilon, in the denominator of its step."""
    learning_rate: Rate = 1e-3
    """The optimiser's step size."""
    lr_scaling: Annotated[str, AfterValidator(Choice.of(LR_SCALINGS))] = "none"
    """How the step size grows with M: not at all, with the square root of M / 100, or with M / 100."""
    schedule: Annotated[str, AfterValidator(Choice.of(SCHEDULES))] = "constant"
    """How the step size changes over the epochs. constant: not at all. cosine: it falls to 0 along half a cosine. iwae:
    in eight stages, i = 0 to 7; stage i takes 3^i parts of the epochs and has the factor 10^(-i/7). drops: at the
    epochs of lr_drops."""
    lr_drops: tuple[Count, ...] = ()
    """Numbers of epochs after which the step size is multiplied by lr_drop_factor, with the schedule drops only."""
    lr_drop_factor: Fraction = compatibility.DROP_FACTOR
    """The factor by which each drop multiplies the step size, with the schedule drops only."""
    epochs: Count | None = None
    """Number of passes over the train images [default: 10, or 75 of mnist-5k, for updates of the same order; of own
    data 300,000 over the number of train images, but 10 to 200]."""
    seed: Seed = 0
    """The seed of all random numbers in the run."""
    milestones: tuple[Count, ...] = ()
    """Numbers of images seen in training after which the bound on valid and the training time are recorded. If any is
    given, both are recorded at the end too."""
    gradient_images: CountOrZero = 0
    """Number of train images on which the gradient's variance is measured at the start, after epoch 1 and at the end.
    0 measures nothing."""
    gradient_estimators: tuple[Annotated[str, AfterValidator(Choice.of(OBJECTIVES))], ...] = ()
    """Objectives whose gradient is measured in addition to the run's own, at the same weights on the same draws."""
    class_scores: bool = False
    """At the end, compute also the scores that need labels: neighbours in latent space, and how a small classifier
    classifies the model's pictures."""
    ais_images: CountOrZero = compatibility.AIS_DEFAULTS["ais_images"]
    """Number of test images, from the first, for which annealed importance sampling computes log p(x) and how far the
    bounds are below it, at the end (docs/ais.md). 0 computes nothing."""
    ais_temperatures: Temperatures = compatibility.AIS_DEFAULTS["ais_temperatures"]
    """Number of temperatures of annealed importance sampling, from the prior to p(z|x), both ends included."""
    ais_chains: Chains = compatibility.AIS_DEFAULTS["ais_chains"]
    """Number of chains of annealed importance sampling for each image."""
    ais_simulated: CountOrZero = compatibility.AIS_DEFAULTS["ais_simulated"]
    """Number of simulated images on which the error of annealed importance sampling itself is measured; 0 leaves this
    out."""
    ais_split: bool = compatibility.AIS_DEFAULTS["ais_split"]
    """Split log p(x) - ELBO of these images into two gaps: log p(x) minus the ELBO with the best q of each image, and
    this ELBO minus the one with the encoder's q."""
    ais_iwae: Counts = compatibility.AIS_DEFAULTS["ais_iwae"]
    """Numbers K of the importance-weighted bounds that are compared with annealed importance sampling, besides those of
    iwae. They are scored on these images only."""
    test_scores: bool = True
    """At the end, compute the scores on test and draw the figures. A trial of a search does neither, so the test images
    are used once."""
    threads: Threads = 1
    """Number of CPU threads. Results are bit-identical only for the same number."""
    device: Annotated[str, AfterValidator(device_name)] = "cpu"
    """The device for the computation: cpu, cuda, cuda:N or mps."""
    iwae: Counts = (1, 10, 100)
    """The numbers K for which the importance-weighted bound L_K is scored on test at the end. Its time grows with K."""
    figures: Annotated[tuple[Annotated[str, AfterValidator(Choice.of(RUN_FIGURES))], ...], Field()] = (
        "reconstructions",
        "prior_means",
        "training_curves",
        "kl_per_dimension",
        "latent_means",
        "manifold",
        "traversals",
    )
    """Pictures to draw of the run. Pictures that need D=2 or D>2 are left out if D does not fit."""

    @model_validator(mode="after")
    def _go_together(self) -> RunConfig:
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        compatibility.require_compatible(self, defaults)
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_line(cls, data: Any, handler: ModelWrapValidatorHandler[RunConfig], info: ValidationInfo) -> RunConfig:
        """Report the first mistake as one line.

        Raises:
            BadInput: a field is not valid, or the fields do not fit together.
        """
        try:
            return handler(data)
        except ValidationError as error:
            if info.context is NAMED_BY_CALLER:
                raise
            raise BadInput(error_line(cls, error.errors()[0])) from None

    @classmethod
    def preset(cls, name: str, **changes: Any) -> RunConfig:
        """Return the configuration of a published protocol with some fields changed.

        Args:
            name: the preset's name.
            changes: field -> value, in place of the preset's.

        Raises:
            BadInput: `name` is not a preset, or a change is not valid.
        """
        if name not in PRESETS:
            raise BadInput(unknown_name("preset", name, PRESETS))
        return validated(cls, PRESETS[name] | changes)

    def with_changes(self, **changes: Any) -> RunConfig:
        """Return this configuration with some fields changed, validated again.

        Raises:
            BadInput: a change is not valid.
        """
        return validated(type(self), self.model_dump() | changes)

    @property
    def changes_kl(self) -> bool:
        """Whether the training objective has another KL term than the ELBO, in some step."""
        return self.beta != 1 or self.kl_warmup > 0 or self.free_bits > 0

    @property
    def dataset_name(self) -> str:
        """The data set's name for titles: of own data, the last part of its path."""
        return short_name(self.dataset)

    @property
    def dataset_id(self) -> str:
        """The data set's name for the names of records: of own data, it depends on the content alone."""
        if not self.data_digest:
            return self.dataset
        return f"{'own' if is_own(self.dataset) else self.dataset}-{self.data_digest[:DIGEST_LETTERS]}"

    @property
    def key(self) -> str:
        """A content hash of all fields, 16 hexadecimal digits.

        A field of `ADDED_LATER` is hashed only if it is not at its default, so that earlier results keep their keys.
        The data set is hashed by its content if that is what identifies it, else by its name.
        """
        unset = {name for name in ADDED_LATER if getattr(self, name) == type(self).model_fields[name].default}
        unset |= {"dataset"} if self.data_digest else set()
        canonical = json.dumps(self.model_dump(mode="json", exclude=unset), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
