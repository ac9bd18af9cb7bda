"""The checks of a figure of a run, on small untrained models and images without meaning."""

from __future__ import annotations

import functools

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.conformance.check import Checks, Part, require
from vaestudy.data.pixels import fixed
from vaestudy.model.vae import VAE
from vaestudy.plotting import to_png
from vaestudy.run.figures import FigureInputs
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.score import score

CHECKS = Checks()

CASES = {
    "D=2, grey 28 x 28, with labels": (2, DIGIT, 30, True),
    "D=5, grey 28 x 28, with labels": (5, DIGIT, 30, True),
    "D=1, grey 8 x 8, no labels": (1, ImageShape(8, 8), 12, False),
    "D=3, colour 6 x 5, no labels": (3, ImageShape(6, 5, 3), 12, False),
    "D=2, grey 28 x 28, one image": (2, DIGIT, 1, True),
}
"""What is drawn -> (D, shape of the images, number of images, whether they have labels)."""


@functools.cache
def inputs_of(case: str) -> FigureInputs:
    """Return the inputs of a figure for a case."""
    D, shape, n, labelled = CASES[case]
    g = stream("check", "figure", case)
    images = torch.randint(0, 256, (n, shape.pixels), generator=g, dtype=torch.uint8)
    model = VAE(RunConfig(latent_dim=D, hidden=(8,), pixels="dequantised", likelihood="gaussian"), shape).eval()
    x = fixed("dequantised", images, "test")
    labels = torch.arange(n) % 10 if labelled else None
    with torch.no_grad():
        scores = score(model, x, labels, (1,))
    parts = {"elbo": -1.0, "log_likelihood": -0.8, "kl": 0.2, "objective": -1.1}
    history = [
        {f"{split}/{name}": 100 * value / epoch for split in ("train", "valid") for name, value in parts.items()}
        | {"train/likelihood_over_kl": 4.0, "train/gradient_norm": 1.0 / epoch}
        for epoch in range(1, 6)
    ]
    return FigureInputs(model, x, labels, history, scores)


def drawn(part: Part, case: str) -> Figure | None:
    """Return the figure of a case."""
    with torch.no_grad():
        figure: Figure | None = part.load()(inputs_of(case))
    return figure


def a_case(part: Part) -> str:
    """Return the first case that the figure is drawn for."""
    return next(case for case in CASES if drawn(part, case) is not None)


@CHECKS.first
def draws(part: Part) -> None:
    """It returns a Matplotlib Figure, or None where it does not apply, for small, colour, few and unlabelled images."""
    found = {case: drawn(part, case) for case in CASES}
    for case, figure in found.items():
        require(figure is None or isinstance(figure, Figure), f"it returns a {type(figure).__name__}, for {case}")
    require(any(figure is not None for figure in found.values()), f"it returns None for all cases: {'; '.join(CASES)}")


@CHECKS
def same_picture_twice(part: Part) -> None:
    """It has something in it, and the same bytes each time."""
    figures = [drawn(part, a_case(part)) for _ in range(2)]
    pictures = [to_png(figure, dots=40) for figure in figures if figure is not None]
    require(all(figure.axes or figure.images for figure in figures if figure), "the figure is empty")
    require(
        len(pictures) == 2 and pictures[0] == pictures[1],
        "the picture differs when it is drawn again: name its random numbers by stream(...)",
    )


@CHECKS
def leaves_its_inputs(part: Part) -> None:
    """It leaves the model, the images and Matplotlib's settings as they are, and draws no global random numbers."""
    case = a_case(part)
    inputs = inputs_of(case)
    weights = {name: value.clone() for name, value in inputs.model.state_dict().items()}
    x, settings, random = inputs.x.clone(), dict(mpl.rcParams), torch.random.get_rng_state()
    drawn(part, case)
    changed = [name for name, value in inputs.model.state_dict().items() if not torch.equal(value, weights[name])]
    require(not changed, f"it changes the weights {', '.join(changed)}")
    require(torch.equal(inputs.x, x), "it changes the images")
    require(dict(mpl.rcParams) == settings, "it changes Matplotlib's settings (rcParams)")
    require(torch.equal(torch.random.get_rng_state(), random), "it draws from torch's global generator")
