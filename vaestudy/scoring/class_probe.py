"""The class scores: whether the latent space separates the classes, and whether a classifier recognises the pictures.

No VAE here sees the labels in training; they are used for scoring only.

Shapes: N images, P pixels, D latent dimensions, C classes. Pictures are decoder means E[x|z], as in the article. The
noise is fixed. The docstring of scoring/score.py defines each number; none of them is a bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import Data
from vaestudy.data.pixels import fixed
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.bounds import mean_and_error

NEIGHBOURS = 10
PRIOR_DRAWS = 2_000
CONFIDENT = 0.9
PANEL = 3
"""The number of classifiers that decide whether a picture reads as two digits."""
# Images at a time. Each block has its own noise stream: another size would change the noise, and so the results.
BLOCK = 1_000
CLASSIFIER_HIDDEN, CLASSIFIER_STEPS, CLASSIFIER_IMAGES = 256, 3_000, 100

Classifier = Callable[[Tensor], Tensor]
"""A function from pictures [N, P] to log p(class|picture) [N, C]."""

Row = dict[str, float]

_classifiers: dict[tuple[object, ...], Classifier] = {}


def get_panel(config: RunConfig, data: Data) -> tuple[Classifier, ...]:
    """Return PANEL classifiers that differ in their seeds. The first is that of `get_classifier`."""
    return tuple(get_classifier(config, data, member) for member in range(PANEL))


def get_classifier(config: RunConfig, data: Data, member: int = 0) -> Classifier:
    """Return the classifier that reads the pictures. It is trained once per process and shared by all runs.

    It is trained on the train split only, under the run's pixel protocol. It does not depend on any other setting of
    the run, nor on its seed, so all runs on the same train images have the same classifier. (Device and number of
    threads are part of the cache key, as they may change the rounding.)
    """
    key = (data.fingerprint, len(data.train), config.pixels, config.device, torch.get_num_threads(), member)
    if key not in _classifiers:
        _classifiers[key] = _train_classifier(data, config.pixels, torch.device(config.device), member)
    return _classifiers[key]


def _train_classifier(data: Data, pixels: str, device: torch.device, member: int) -> Classifier:
    """Train a perceptron P-256-C with ReLU: Adam at 1e-3, 3,000 steps of 100 images drawn with replacement.

    Raises:
        ValueError: the train images have no labels.
    """
    if data.train.labels is None:
        raise ValueError(f"{data.name} has no labels, so no classifier can be trained")
    seed = (member,) if member else ()
    x, labels = fixed(pixels, data.train.images.to(device), "train"), data.train.labels.to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream("classes", "weights", *seed).initial_seed())
        net = nn.Sequential(
            nn.Linear(x.shape[1], CLASSIFIER_HIDDEN),
            nn.ReLU(),
            nn.Linear(CLASSIFIER_HIDDEN, data.classes),
            nn.LogSoftmax(-1),
        ).to(device)
    optimizer = optim.Adam(net.parameters(), 1e-3, fused=True)
    order = torch.randint(
        len(x), (CLASSIFIER_STEPS, CLASSIFIER_IMAGES), generator=stream("classes", "order", *seed)
    ).to(device)
    for rows in order:
        optimizer.zero_grad()
        F.nll_loss(net(x[rows]), labels[rows]).backward()
        optimizer.step()
    return net.requires_grad_(False)


@torch.no_grad()
def class_scores(
    model: VAE, x: Tensor, labels: Tensor, panel: Sequence[Classifier], classes: int
) -> tuple[Row, dict[str, Row]]:
    """Return (metrics, metrics by class) of test images x [N, P] with labels [N].

    Args:
        panel: the classifiers, see `get_panel`. All scores but `two_classes` are those of the first.
        classes: C, the number of classes.
    """
    read = panel[0]
    mu, back = _embed(model, x)
    prior = stream("score", "classes", "prior", device=x.device)
    z = torch.randn((PRIOR_DRAWS, mu.shape[1]), generator=prior, device=x.device, dtype=x.dtype)
    pictures = {"data": x, "reconstruction": back, "prior": model.likelihood.mean(model.decode(z))}
    metrics: Row = {}
    by_image: dict[str, Tensor] = {}
    for kind, shown in pictures.items():
        log_p = read(shown).double()
        metrics |= mean_and_error(f"class_entropy_{kind}", -(log_p.exp() * log_p).sum(-1))
        metrics |= mean_and_error(f"unclear_{kind}", (log_p.amax(-1).exp() < CONFIDENT).double())
        metrics |= mean_and_error(f"greyness_{kind}", (4 * shown * (1 - shown)).double().mean(-1))
        metrics |= two_classes(kind, torch.stack([classifier(shown).double() for classifier in panel]))
        if kind != "prior":
            by_image[f"recognised_{kind}"] = (log_p.argmax(-1) == labels).double()
    by_image["relative_error"] = ((x - back).double().square().sum(-1)) / x.double().square().sum(-1)
    near = neighbour_shares(mu, labels, classes)
    by_image["neighbour_purity"] = near.gather(1, labels[:, None])[:, 0]
    for name, values in by_image.items():
        metrics |= mean_and_error(name, values)
    return metrics, _by_class(by_image, near, mu, labels)


def two_classes(kind: str, log_p: Tensor) -> Row:
    """Return the share of pictures that read as two digits at once, and its spread over classifiers.

    Args:
        kind: the kind of pictures, for the names.
        log_p: log p(class|picture) by each classifier, [classifiers, N, C].
    """
    first, second = log_p.exp().topk(2, dim=-1).values.unbind(-1)
    each = ((first < CONFIDENT) & (first + second >= CONFIDENT)).double()
    spread = each.mean(-1).std().item() if len(each) > 1 else math.nan
    return mean_and_error(f"two_classes_{kind}", each.mean(0)) | {f"two_classes_sd_{kind}": spread}


def _by_class(by_image: dict[str, Tensor], near: Tensor, mu: Tensor, labels: Tensor) -> dict[str, Row]:
    """Return the metrics of each class, by its label as text.

    Args:
        by_image: name -> a value for each image, [N].
        near: the shares of the classes among each image's neighbours, [N, C].
        mu: the means of q(z|x), [N, D].
    """
    rows = {}
    for label in labels.unique().tolist():
        mine = labels == label
        row: Row = {}
        for name, values in by_image.items():
            row |= mean_and_error(name, values[mine])
        row |= {f"neighbours_{other}": share for other, share in enumerate(near[mine].mean(0).tolist())}
        if mu.shape[1] == 2:
            row |= {f"mu_{d}": value for d, value in enumerate(mu[mine].mean(0).tolist(), start=1)}
        rows[str(label)] = row
    return rows


def _embed(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of q(z|x), [N, D] in float64, and E[x|z] at one z drawn from q(z|x), [N, P]."""
    means, pictures = [], []
    for block, xs in enumerate(x.split(BLOCK)):
        q = model.encode(xs)
        noise = stream("score", "classes", "reconstruction", block, device=x.device)
        z = q.draw(torch.randn((1, *q.mu.shape), generator=noise, device=x.device))[0]
        means.append(q.mu.double())
        pictures.append(model.likelihood.mean(model.decode(z)))
    return torch.cat(means), torch.cat(pictures)


def neighbour_shares(mu: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the shares of the classes among each point's 10 nearest other points.

    Args:
        mu: the points, [N, D].
        labels: the class of each point, [N].
        classes: C, the number of classes.

    Returns:
        shares [N, C], float64. With fewer than 11 points each has fewer neighbours; a single point has no neighbour,
        and its shares are nan.
    """
    K, one_hot, shares = min(NEIGHBOURS, len(mu) - 1), F.one_hot(labels, classes).double(), []
    for start in range(0, len(mu), BLOCK):
        # From the differences of coordinates: |a|^2 + |b|^2 - 2 a.b would lose digits to cancellation for near points.
        distance = torch.cdist(mu[start : start + BLOCK], mu, compute_mode="donot_use_mm_for_euclid_dist")
        rows = torch.arange(len(distance), device=mu.device)
        distance[rows, rows + start] = torch.inf
        shares.append(one_hot[distance.topk(K, largest=False).indices].mean(1))
    return torch.cat(shares)
