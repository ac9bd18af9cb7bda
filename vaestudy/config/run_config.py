"""What a run is: a frozen, validated configuration, to and from JSON, with one content hash.

Nothing slow is imported here, so a wrong flag is answered at once. The names that a field accepts are read from the
registries themselves (the dict at the foot of `likelihoods.py`, `sigma.py`, ...) without importing them: adding a
member there is all it takes for the command line to know it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from vaestudy.config import compatibility
from vaestudy.config.registry import registered as registered


class BadInput(Exception):
    """The user's input cannot be used; the message is the one line that the user is shown (exit code 2)."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """One line for a name that does not exist: the value, the nearest valid one, all valid ones."""
    valid = list(valid)
    near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {kind} {str(name)!r}{hint}; choose from: {', '.join(valid) or 'none'}"


class Choice:
    """A validator for a field that takes one of some names, given outright or read from a registry."""

    def __init__(self, kind: str, *names: str, registry: tuple[str, str] | None = None) -> None:
        self.kind, self._names, self._registry = kind, names, registry

    @property
    def names(self) -> tuple[str, ...]:
        return self._names + (registered(*self._registry) if self._registry else ())

    def __call__(self, value: str) -> str:
        if value not in self.names:
            raise ValueError(unknown(self.kind, value, self.names))
        return value


def _plain_number(value: Any) -> Any:
    """Whole numbers only: pydantic would take True for 1 and 1.0 for 1."""
    if isinstance(value, bool | float):
        raise ValueError("not a whole number")
    return value


def _device(value: str) -> str:
    kind, _, index = value.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise ValueError(unknown("device", value, ("cpu", "cuda", "cuda:N", "mps")))
    return value


Count = Annotated[int, Field(ge=1), BeforeValidator(_plain_number)]
CountOrZero = Annotated[int, Field(ge=0), BeforeValidator(_plain_number)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Guard = Annotated[float, Field(ge=0, lt=0.5, allow_inf_nan=False)]
Floor = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RunConfig(BaseModel):
    """Everything that decides the outcome of one run. The same config on the same CPU gives the same bits."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    dataset: Annotated[str, AfterValidator(Choice("dataset", "auto", registry=("DATASETS", "data/datasets")))] = "auto"
    """The images; auto is mnist where it is on disk or quickly downloaded, else mnist-5k."""
    valid_size: CountOrZero | None = None
    """Train images held out for validation [default: 5,000, or 500 of mnist-5k]."""
    subset: Count | None = None
    """Use only this many train images, and at most half as many of valid and of test: a look, not a result."""
    pixels: Annotated[str, AfterValidator(Choice("pixel protocol", registry=("PIXELS", "data/pixels")))] = "grey"
    """How stored bytes become the x that is modelled."""
    latent_dim: Count = 10
    """D, the number of latent dimensions."""
    hidden: Counts = (256,)
    """Widths of the encoder's hidden layers; the decoder mirrors them."""
    activation: Annotated[str, AfterValidator(Choice("activation", registry=("ACTIVATIONS", "model/vae")))] = "relu"
    """The non-linearity of the hidden layers."""
    init: Annotated[str, AfterValidator(Choice("init", registry=("INITS", "model/vae")))] = "torch"
    """How weights start: torch's default for linear layers, Glorot uniform, or N(0, 0.01) as in the AEVB paper."""
    second_biases: bool = False
    """Give every layer a second bias vector, as the article's script does (changes Adam's step on biases only)."""
    likelihood: Annotated[
        str, AfterValidator(Choice("likelihood", registry=("LIKELIHOODS", "model/likelihoods/registry")))
    ] = "bernoulli"
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
    decoder_sigma: Annotated[str, AfterValidator(Choice("sigma", registry=("SIGMAS", "model/sigma")))] = "log-variance"
    """How the decoder's head becomes the scale of p(x|z)."""
    sigma: Annotated[str, AfterValidator(Choice("sigma", registry=("SIGMAS", "model/sigma")))] = "log-variance"
    """How the encoder's head becomes the scale of q(z|x)."""
    sigma_floor: Floor = 0.0
    """The encoder's sigma is held at or above this."""
    init_sigma: Rate | None = None
    """The encoder's sigma at the start, the same for every image [default: where the head's first weights put it]."""
    estimator: Annotated[str, AfterValidator(Choice("estimator", registry=("ESTIMATORS", "training/objectives")))] = (
        "sgvb-b"
    )
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
    optimizer: Annotated[str, AfterValidator(Choice("optimizer", registry=("OPTIMIZERS", "training/optimizers")))] = (
        "adam"
    )
    """The optimiser."""
    optimizer_epsilon: Rate = 1e-8
    """The optimiser's epsilon, in the denominator of its step."""
    learning_rate: Rate = 1e-3
    """The optimiser's step size."""
    lr_scaling: Annotated[
        str, AfterValidator(Choice("learning rate scaling", registry=("LR_SCALINGS", "training/train")))
    ] = "none"
    """How the step size grows with M: by nothing, or by the square root of M / 100, or by M / 100 itself."""
    schedule: Annotated[str, AfterValidator(Choice("schedule", registry=("SCHEDULES", "training/train")))] = "constant"
    """How the step size changes over the epochs."""
    epochs: Count | None = None
    """Passes over the train images [default: 10, or 75 of mnist-5k, for updates of the same order]."""
    seed: CountOrZero = 0
    """Everything random in the run derives from it."""
    milestones: tuple[Count, ...] = ()
    """Images seen after which the bound on valid is recorded along the way, and at the end, with the seconds."""
    gradient_images: CountOrZero = 0
    """Train images on which the gradient's variance is measured at the start, after epoch 1 and at the end, or 0."""
    gradient_estimators: tuple[
        Annotated[str, AfterValidator(Choice("estimator", registry=("ESTIMATORS", "training/objectives")))], ...
    ] = ()
    """Estimators whose gradient is measured beside the run's own, at the same weights on the same draws."""
    class_scores: bool = False
    """Score at the end also what needs labels: neighbours in latent space, how a small classifier reads pictures."""
    threads: Count = 1
    """CPU threads; results are bit-identical only for the same number."""
    device: Annotated[str, AfterValidator(_device)] = "cpu"
    """Where to compute: cpu, cuda, cuda:N or mps."""
    iwae: Counts = (1, 10, 100)
    """The K of each importance-weighted bound L_K scored on test at the end, up to 5,000."""
    figures: Annotated[
        tuple[Annotated[str, AfterValidator(Choice("figure", registry=("FIGURES", "run/figures")))], ...], Field()
    ] = (
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
        compatibility.check(self)
        return self

    @classmethod
    def preset(cls, name: str, **changes: Any) -> RunConfig:
        """The configuration of a published protocol, with `changes` on top.

        Raises:
            BadInput: `name` is no preset, or a change is not valid.
        """
        if name not in PRESETS:
            raise BadInput(unknown("preset", name, PRESETS))
        return checked(cls, PRESETS[name] | changes)

    def but(self, **changes: Any) -> RunConfig:
        """This configuration with some fields changed, validated again."""
        return checked(type(self), self.model_dump() | changes)

    @property
    def key(self) -> str:
        """A content hash of all fields: 16 hexadecimal digits. A field that came later counts once it is set."""
        unset = {name for name in LATER if getattr(self, name) == type(self).model_fields[name].default}
        canonical = json.dumps(self.model_dump(mode="json", exclude=unset), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


# Fields that came after the first results: what was run without them keeps its key.
LATER = (
    *compatibility.DEFAULTS,
    "sigma_floor",
    "init_sigma",
    "lr_scaling",
    "milestones",
    "gradient_images",
    "gradient_estimators",
    "class_scores",
)

PRESETS: dict[str, dict[str, Any]] = {
    # The article's script, in each choice that affects its result. D=2 is what it runs; it also shows D=10.
    "article": {
        "valid_size": 0,
        "latent_dim": 2,
        "hidden": (256,),
        "activation": "relu",
        "init": "torch",
        "second_biases": True,
        "sigma": "raw",
        "estimator": "sgvb-b",
        "reduction": "sum",
        "log_guard": 1e-8,
        "learning_rate": 1e-3,
        "epochs": 10,
    },
    # Kingma & Welling 2013, section 5 and figure 2: 1e7 images seen, the middle of that figure's axis.
    "aevb": {
        "valid_size": 0,
        "latent_dim": 20,
        "hidden": (500,),
        "activation": "tanh",
        "init": "aevb-normal",
        "weight_prior": True,
        "optimizer": "adagrad",
        "optimizer_epsilon": 1e-10,
        "learning_rate": 0.02,
        "epochs": 167,
    },
    # Burda, Grosse & Salakhutdinov 2015, section 5: the VAE (k=1) of table 1, one stochastic layer.
    "iwae": {
        "valid_size": 0,
        "pixels": "stochastic",
        "latent_dim": 50,
        "hidden": (200, 200),
        "activation": "tanh",
        "init": "glorot",
        "estimator": "sgvb-a",
        "minibatch": 20,
        "optimizer_epsilon": 1e-4,
        "learning_rate": 1e-3,
        "schedule": "iwae",
        "epochs": 3280,
        "iwae": (1, 100, 5000),
    },
}


def checked(model: type[RunConfig], values: dict[str, Any], name: Callable[[str], str] = str) -> RunConfig:
    """Validate; the first mistake becomes a `BadInput` of one line. `name` spells a field the way the user did."""
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(explain(model, first, name)) from None


def checked_field(model: type[RunConfig], field: str, value: Any, name: Callable[[str], str] = str) -> Any:
    """One field's value validated by itself: whether it goes with the others is for those who combine them."""
    info = model.model_fields[field]
    annotation: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise BadInput(explain(model, error.errors()[0] | {"loc": (field,)}, name)) from None


def explain(model: type[BaseModel], error: Any, name: Callable[[str], str] = str) -> str:
    """One line for one pydantic error: the field, the value, what it must be."""
    if isinstance(cause := error.get("ctx", {}).get("error"), compatibility.Conflict):
        shown = f"{cause.value:g}" if isinstance(cause.value, float) else cause.value
        why = cause.why.format_map({field: name(field) for field in model.model_fields})
        return f"{name(cause.field)} {shown}: {why}"
    field = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return unknown("option", name(field), map(name, model.model_fields))
    shown = error["input"] if isinstance(error["input"], str) else json.dumps(error["input"], default=str)
    if isinstance(cause, ValueError) and "choose from" in str(cause):
        return f"{name(field)}: {cause}"
    return f"{name(field)} {shown}: must be {expected(model, field)}"


def expected(model: type[BaseModel], field: str) -> str:
    """What a field takes, in words: «a whole number, 1 or more»."""
    schema = model.model_json_schema()["properties"][field]
    schema = next((s for s in schema.get("anyOf", []) if s.get("type") != "null"), schema)
    if schema["type"] == "array":
        return f"one or more, each {_limits(schema['items'])}"
    return _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    words = {"integer": "a whole number", "number": "a finite number", "boolean": "true or false", "string": "a name"}
    text = words[schema["type"]]
    if not math.isnan(low := schema.get("minimum", math.nan)):
        text += f", {low:g} or more"
    if not math.isnan(low := schema.get("exclusiveMinimum", math.nan)):
        text += f", above {low:g}"
    if not math.isnan(high := schema.get("exclusiveMaximum", math.nan)):
        text += f", below {high:g}"
    return text
