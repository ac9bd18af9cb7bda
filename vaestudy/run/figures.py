"""The figures of one run. `RUN_FIGURES` in run/registry.py lists them by name.

Each function takes a `FigureInputs` and returns a matplotlib figure, or None if the figure does not apply to the run
(a figure of the latent plane needs D=2). Grey images are drawn dark on white, for paper; colour images in their own
colours. The noise of the figures is fixed, like that of the scores.

Shapes: N images, P values of an image, D latent dimensions; an image has height H, width W and C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from vaestudy.config.compatibility import likelihood_label
from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.registry import RUN_FIGURES
from vaestudy.errors import noting_failure
from vaestudy.model.vae import VAE
from vaestudy.plotting import INK, house_style, look, set_heading, to_png
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.score import ACTIVE_UNIT, Scores

MOST_CLASSES = 10
"""The largest number of classes of which images are shown, the first ones."""
WITHOUT_LABELS = 10
"""The number of images that are shown where there are no labels."""
TRAIN, VALID, TEST = look(0), look(1), look(4)
"""The looks of the splits."""
DENSITY_CELLS, INNERMOST = 60, 0.5
"""The latent plane is divided into so many cells on each axis to find the line around this share of a class."""
PARTS = {
    "elbo": "ELBO = log-likelihood - KL",
    "log_likelihood": "log-likelihood (reconstruction)",
    "kl": "KL to the prior",
}


@dataclass(frozen=True)
class FigureInputs:
    """The inputs of a figure: a trained model, the test images x [N, P], labels [N] or None, its curves and scores."""

    model: VAE
    x: Tensor
    labels: Tensor | None
    history: list[dict[str, float]]
    scores: Scores

    @property
    def D(self) -> int:
        return self.model.config.latent_dim

    @property
    def shape(self) -> ImageShape:
        return self.model.shape

    def rows_by_class(self, most: int) -> dict[str, Tensor]:
        """Return class -> the numbers of its first images, at most `most`; of the first classes only.

        Without labels, each of the first images is a group of its own, without a name.
        """
        if self.labels is None:
            groups = torch.arange(min(len(self.x), WITHOUT_LABELS * most), device=self.x.device).split(most)
            return {" " * i: rows for i, rows in enumerate(groups)}
        classes = self.labels.unique().tolist()[:MOST_CLASSES]
        return {str(c): (self.labels == c).nonzero().flatten()[:most] for c in classes}


def draw_figures(inputs: FigureInputs, names: tuple[str, ...]) -> tuple[dict[str, bytes], list[str]]:
    """Draw the named figures that apply to this run.

    Returns:
        (name -> PNG file, a line for each figure that could not be drawn, with the reason).
    """
    files: dict[str, bytes] = {}
    lines: list[str] = []
    with torch.no_grad():
        for name in names:
            with noting_failure(f"figure {name}", lines), house_style():
                if (figure := RUN_FIGURES.load(name)(inputs)) is not None:
                    files[name] = to_png(figure)
    return files, lines


def reconstructions(p: FigureInputs) -> Figure:
    """Draw two test images of each class above their reconstructions, E[x|z] at one z drawn from q(z|x).

    Classes with fewer images are left out. If no class has two images, one image of each class is drawn. Without
    labels, the first images are drawn.
    """
    found = p.rows_by_class(2)
    count = max(len(rows) for rows in found.values())  # images of a class: 2, or 1 if there are very few test images
    found = {name: rows for name, rows in found.items() if len(rows) == count}
    columns = list(found.values())
    x = p.x[torch.cat(columns)]
    q = p.model.encode(x)
    eps = torch.randn(
        (1, *q.mu.shape), generator=stream("figures", "reconstructions", device=x.device), device=x.device
    )
    back = p.model.likelihood.mean(p.model.decode(q.draw(eps)[0]))
    pairs = torch.stack((x, back)).unflatten(1, (len(columns), count))  # [original or back, class, which, P]
    grid = pairs.permute(2, 0, 1, 3).flatten(0, 1)
    figure, ax = _sheet(grid, f"Test images and their reconstructions, D={p.D}", p.shape)
    ax.set_yticks(_centres(2 * count, p.shape.height), ["original", "reconstruction"] * count, fontsize=11)
    if p.labels is not None:
        ax.set_xticks(_centres(len(columns), p.shape.width), list(found), fontsize=12)
        ax.set_xlabel("class")
    return figure


def prior_means(p: FigureInputs) -> Figure:
    """Draw the decoder means E[x|z] at 100 draws of z from the prior."""
    means = p.model.likelihood.mean(p.model.decode(_prior_draws(p)))
    return _sheet(means.unflatten(0, (10, 10)), f"Decoder means E[x|z] at z drawn from the prior, D={p.D}", p.shape)[0]


def prior_samples(p: FigureInputs) -> Figure:
    """Draw samples x ~ p(x|z) at the draws of z of `prior_means`."""
    generator = stream("figures", "pixels", device=p.x.device)
    samples = p.model.likelihood.sample(p.model.decode(_prior_draws(p)), generator)
    return _sheet(samples.unflatten(0, (10, 10)), f"Samples x ~ p(x|z) at z drawn from the prior, D={p.D}", p.shape)[0]


def decoder_samples(p: FigureInputs) -> Figure:
    """Draw one test image of each class, E[x|z] at a z drawn from q(z|x), and a sample of p(x|z) at the same z."""
    rows = torch.cat(list(p.rows_by_class(1).values()))
    x = p.x[rows]
    q = p.model.encode(x)
    noise = stream("figures", "decoder_samples", device=x.device)
    head = p.model.decode(q.draw(torch.randn((1, *q.mu.shape), generator=noise, device=x.device))[0])
    grid = torch.stack((x, p.model.likelihood.mean(head), p.model.likelihood.sample(head, noise)))
    figure, ax = _sheet(grid.clamp(0, 1), f"{likelihood_label(p.model.config)}, D={p.D}", p.shape)
    ax.set_yticks(_centres(3, p.shape.height), ["original", "mean of p(x|z)", "sample of p(x|z)"], fontsize=11)
    figure.set_size_inches(7, 2.2 * min(2.0, p.shape.height / p.shape.width))
    return figure


def pixel_calibration(p: FigureInputs) -> Figure | None:
    """Draw the histogram of grey values drawn from p(x|z) beside that of the data, and the histogram of F(x|z).

    F is the distribution function of p(x|z). Return None unless the pixels are dequantised.
    """
    if not p.scores.histograms:
        return None
    predicted, observed, pit = (np.array(p.scores.histograms[name]) for name in ("predicted", "observed", "pit"))
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    for values, style, label in ((observed, TEST, "data"), (predicted, VALID, "drawn from p(x|z)")):
        shown = np.where(values > 0, values, np.nan)
        left.step(range(len(values)), shown, color=style.colour, linestyle=style.dash, label=label, where="mid")
    left.set(yscale="log", xlabel="grey level, 0 to 255", ylabel="share of pixels")
    left.set_title(f"Grey levels, total variation {p.scores.metrics['histogram_distance']:.3f}")
    left.legend(frameon=False)
    right.bar((np.arange(len(pit)) + 0.5) / len(pit), pit * len(pit), width=1 / len(pit), color=TRAIN.colour)
    right.axhline(1, color=TEST.colour, linewidth=1)
    right.set(xlabel="F(x|z) of the data's pixels", ylabel="density")
    right.set_title(f"F(x|z), distance to uniform {p.scores.metrics['pit_distance']:.3f}")
    about = "F: distribution function of p(x|z), uniform (line) if p(x|z) is right"
    set_heading(figure, f"{likelihood_label(p.model.config)}, D={p.D}; {about}")
    return figure


def likelihood_over_kl(p: FigureInputs) -> Figure:
    """Draw |log-likelihood| / KL in training against epochs; epoch 0 is the first step."""
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    ax = figure.subplots()
    values = [p.history[0].get("train/first_likelihood_over_kl", math.nan)]
    values += [metrics.get("train/likelihood_over_kl", math.nan) for metrics in p.history]
    ax.plot(range(len(values)), values, color=TRAIN.colour, marker=TRAIN.marker, markersize=3)
    ax.set(yscale="log", xlabel="epoch (0: the first step)", ylabel="|log-likelihood| / KL, ratio")
    ax.set_title(f"Reconstruction against KL in training, {likelihood_label(p.model.config)}, D={p.D}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def training_curves(p: FigureInputs) -> Figure:
    """Draw the ELBO and its two parts against epochs, and the test value as a point at the end."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    epochs = range(1, len(p.history) + 1)
    every = max(1, len(epochs) // 25)  # a marker at each epoch would hide a long curve
    for ax, (name, title) in zip(figure.subplots(1, 3), PARTS.items(), strict=True):
        for split, style, label in (("train", TRAIN, "train, mean of the epoch"), ("valid", VALID, "valid, its end")):
            if f"{split}/{name}" in p.history[0]:
                ax.plot(epochs, [h[f"{split}/{name}"] for h in p.history], color=style.colour, linestyle=style.dash,
                        marker=style.marker, markersize=3.5, markevery=every, label=label)  # fmt: skip
        end = p.scores.metrics[name]
        ax.plot([len(epochs)], [end], "D", color=TEST.colour, label="test, at the end", clip_on=False)
        values = [h[key] for h in p.history for key in (f"train/{name}", f"valid/{name}") if key in h]
        _focus(ax, values, end)
        ax.set(title=title, xlabel="epoch")
        ax.set_ylabel("nats per image" + ", higher is better" * (name != "kl"))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.axes[0].legend(frameon=False, loc="lower right")
    return figure


def kl_per_dimension(p: FigureInputs) -> Figure:
    """Draw the mean KL of each latent dimension over the test images, in nats, largest first."""
    values = np.sort(p.scores.kl_per_dimension)[::-1]
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    ax = figure.subplots()
    ax.bar(np.arange(1, len(values) + 1), values, color=TRAIN.colour, width=0.85)
    active = p.scores.metrics["active_units"]  # nan with one test image, which has no covariance
    shown = f", {active:.0f} of {p.D} active (Cov(E[z|x]) > {ACTIVE_UNIT})" if active == active else ""
    ax.set(
        title=f"KL per latent dimension{shown}",
        xlabel="latent dimensions, the largest KL first",
        ylabel="nats per image",
        xlim=(0.4, len(values) + 0.6),
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="x", visible=False)
    return figure


def latent_means(p: FigureInputs) -> Figure | None:
    """Draw the mean of q(z|x) of each test image, by class if there are classes. Return None unless D=2."""
    if p.D != 2:
        return None
    mu = p.model.encode(p.x).mu.cpu().numpy()
    figure = Figure(figsize=(7.6, 7), layout="constrained")
    ax = figure.subplots()
    # Show 99.8 % of the points on each axis: the few far points would make all others small.
    low, high = np.percentile(mu, [0.1, 99.9], axis=0)
    room = np.where(high > low, 0.03 * (high - low), 1.0)  # a single point has no extent
    low, high = low - room, high + room
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="z1", ylabel="z2", aspect="equal")
    size = float(np.clip(60_000 / len(mu), 6, 40))  # of a dot, in square points
    if p.labels is None:
        ax.scatter(mu[:, 0], mu[:, 1], color=TRAIN.colour, s=size, alpha=0.4, linewidths=0)
    else:
        _scatter_by_class(ax, mu, p.labels.cpu().numpy(), size)
        legend = figure.legend(title="class", loc="outside right center", ncols=1 + (len(p.labels.unique()) - 1) // 20,
                      markerscale=8 / size**0.5)  # fmt: skip
        for handle in legend.legend_handles:
            assert handle is not None
            handle.set_alpha(1.0)
    if p.labels is None:
        ax.set_title("Means of q(z|x) of the test images, no labels")
    else:
        ax.set_title(
            f"Means of q(z|x) of the test images, by class\nlines: around the densest {100 * INNERMOST:.0f} % of each"
        )
    return figure


def _scatter_by_class(ax: Axes, mu: NDArray[np.float32], labels: NDArray[np.int64], size: float) -> None:
    """Draw points [N, 2] by class, and a line around the densest half of each class, with the class's number.

    The number is where the density of the class is highest. A class has a colour and a marker. The panel must have its
    limits.
    """
    classes = np.unique(labels)
    for index, c in enumerate(classes):
        style, mine = look(index), mu[labels == c]
        ax.scatter(mine[:, 0], mine[:, 1], color=style.colour, marker=style.marker, s=size, alpha=0.35, linewidths=0,
                   label=str(c))  # fmt: skip
    for index, c in enumerate(classes):
        style, (x, y, density, level) = look(index), _density(mu[labels == c], ax.get_xlim(), ax.get_ylim())
        if level > 0:
            ax.contour(x, y, density, levels=[level], colors="white", linewidths=3.0)
            ax.contour(x, y, density, levels=[level], colors=style.colour, linewidths=1.6, linestyles=style.dash)
            row, column = np.unravel_index(int(density.argmax()), density.shape)
            box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": style.colour, "alpha": 0.9}
            ax.text(x[column], y[row], str(c), ha="center", va="center", weight="bold", color=INK, bbox=box, zorder=5)


def _density(
    points: NDArray[np.float32], across: tuple[float, float], up: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Return the smoothed density of points [n, 2] on a grid of the plane, and the level around half of the points.

    Args:
        points: the points.
        across: the limits of the plane on the first axis.
        up: its limits on the second axis.

    Returns:
        (centres of the cells on the first axis [K], on the second [K], density [K, K] with rows along the second axis,
        the density above which INNERMOST of the points in the plane lie; 0 if there is no point).
    """
    counts, x, y = np.histogram2d(points[:, 0], points[:, 1], bins=DENSITY_CELLS, range=(across, up))
    reach = np.arange(-6, 7)
    kernel = np.exp(-0.5 * (reach / 2.0) ** 2) / np.exp(-0.5 * (reach / 2.0) ** 2).sum()
    smooth = np.apply_along_axis(np.convolve, 0, counts, kernel, "same")
    density = np.apply_along_axis(np.convolve, 1, smooth, kernel, "same").T
    ordered = np.sort(density, axis=None)[::-1]
    total = ordered.cumsum()
    level = float(ordered[np.searchsorted(total, INNERMOST * total[-1])]) if total[-1] > 0 else 0.0
    return (x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2, density, level


def manifold(p: FigureInputs) -> Figure | None:
    """Draw decoder means on a grid of quantiles of the prior, so that each tile has the same prior mass.

    Return None unless D=2.
    """
    if p.D != 2:
        return None
    n = 20
    quantiles = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n).float().to(p.x.device)
    z2, z1 = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    means = p.model.likelihood.mean(p.model.decode(torch.stack((z1, z2), -1)))
    title = "Decoder means over the latent plane, tiles of equal prior mass"
    figure, ax = _sheet(means, title, p.shape, tile=0.36)
    ticks = [0, n // 4, n // 2, 3 * n // 4, n - 1]
    across, down = _centres(n, p.shape.width), _centres(n, p.shape.height)
    ax.set_xticks([across[i] for i in ticks], [f"{quantiles[i]:.1f}" for i in ticks])
    ax.set_yticks([down[n - 1 - i] for i in ticks], [f"{quantiles[i]:.1f}" for i in ticks])
    ax.set(xlabel="z1", ylabel="z2")
    return figure


def traversals(p: FigureInputs) -> Figure | None:
    """Draw decoder means as one dimension after another varies across the prior.

    The other dimensions are fixed at the posterior mean of one test image. Return None if D <= 2.
    """
    if p.D <= 2:
        return None
    dims = torch.tensor(p.scores.kl_per_dimension).argsort(descending=True)[:10].tolist()
    steps = torch.linspace(-2.5, 2.5, 11, device=p.x.device)
    z = p.model.encode(p.x[:1]).mu.expand(len(dims), len(steps), -1).clone()
    for row, d in enumerate(dims):
        z[row, :, d] = steps
    title = f"Traversals of the most active dimensions around one test image, D={p.D}"
    figure, ax = _sheet(p.model.likelihood.mean(p.model.decode(z)), title, p.shape)
    ax.set_yticks(
        _centres(len(dims), p.shape.height), [f"z{d + 1} ({p.scores.kl_per_dimension[d]:.1f} nats)" for d in dims]
    )
    ax.set_xticks(_centres(len(steps), p.shape.width), [f"{step:g}" for step in steps.tolist()])
    ax.set_xlabel("value of that dimension (prior: N(0, 1))")
    return figure


def _prior_draws(p: FigureInputs) -> Tensor:
    return torch.randn((100, p.D), generator=stream("figures", "prior", device=p.x.device), device=p.x.device)


def _centres(count: int, side: int) -> list[float]:
    """Return the centres of the images of a sheet along one axis, for images with `side` pixels on that axis."""
    return [i * (side + 2) + side / 2 + 0.5 for i in range(count)]


def _sheet(images: Tensor, title: str, shape: ImageShape = DIGIT, tile: float = 0.62) -> tuple[Figure, Axes]:
    """Draw images [rows, columns, P], pixels in [0, 1], as one sheet with thin gaps between them."""
    rows, columns = images.shape[:2]
    H, W, C = shape.height, shape.width, shape.channels
    padded = np.full((rows, H + 2, columns, W + 2, C), 0 if C == 1 else 1, dtype=np.float32)  # the gaps are white
    tiles = images.reshape(rows, columns, C, H, W).cpu().numpy()
    padded[:, 1:-1, :, 1:-1] = tiles.transpose(0, 3, 1, 4, 2)
    high = tile * min(3.0, H / W)
    figure = Figure(figsize=(max(6.0, tile * columns + 1), high * rows + 1.1), layout="constrained")
    ax = figure.subplots()
    sheet = padded.reshape(rows * (H + 2), columns * (W + 2), C)
    if C == 1:
        ax.imshow(sheet[..., 0], cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    else:
        ax.imshow(sheet.clip(0, 1), interpolation="nearest")
    ax.set_title(title, fontsize=12)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0)
    return figure, ax


def _focus(ax: Axes, values: list[float], test: float) -> None:
    """Limit the y axis of a long history to the later epochs: the rise of the first epochs would flatten the rest."""
    if len(values) >= 10:
        low, high = np.percentile(values, [8, 92])
        margin = 0.6 * (high - low) + 1e-6
        bottom, top = max(min(values), low - margin), min(max(values), high + margin) + 0.05 * margin
        ax.set_ylim(min(bottom, test - 0.1 * margin), max(top, test + 0.1 * margin))
