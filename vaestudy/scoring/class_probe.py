"""What the labels, which no VAE here ever sees, say of it: how its classes lie, and how its pictures read.

Shapes: N images, P pixels, D latent dimensions, C classes. Pictures are decoder means E[x|z], as the article shows
them; the noise is fixed. What each number means is told at the top of `evaluate.py`; none of them is a bound.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import Data
from vaestudy.data.pixels import fixed
from vaestudy.data.sources import Split
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.bounds import mean_and_error

CLASSES = 10
NEIGHBOURS = 10
PRIOR_DRAWS = 2_000
CONFIDENT = 0.9
BLOCK = 1_000  # images at a time; fixed, as a block's noise is one stream
CLASSIFIER_HIDDEN, CLASSIFIER_STEPS, CLASSIFIER_IMAGES = 256, 3_000, 100

Classifier = Callable[[Tensor], Tensor]
"""Pictures [N, P] -> log p(class|picture) [N, C]."""

Row = dict[str, float]

_classifiers: dict[tuple[object, ...], Classifier] = {}


def get_classifier(config: RunConfig, data: Data) -> Classifier:
    """The classifier by which pictures are read: the same for all runs on the same train images, made once a process.

    It sees the train split alone, under the run's pixel protocol; no choice of the run's own, and not its seed.
    """
    key = (data.fingerprint, len(data.train), config.pixels, config.device, torch.get_num_threads())
    if key not in _classifiers:
        _classifiers[key] = _train_classifier(data.train, config.pixels, torch.device(config.device))
    return _classifiers[key]


def _train_classifier(train: Split, pixels: str, device: torch.device) -> Classifier:
    """A perceptron 784-256-10, ReLU, Adam at 1e-3, 3,000 steps of 100 images drawn with replacement."""
    x, labels = fixed(pixels, train.images.to(device), "train"), train.labels.to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream("classes", "weights").initial_seed())
        net = nn.Sequential(
            nn.Linear(x.shape[1], CLASSIFIER_HIDDEN),
            nn.ReLU(),
            nn.Linear(CLASSIFIER_HIDDEN, CLASSES),
            nn.LogSoftmax(-1),
        ).to(device)
    optimizer = optim.Adam(net.parameters(), 1e-3, fused=True)
    order = torch.randint(len(x), (CLASSIFIER_STEPS, CLASSIFIER_IMAGES), generator=stream("classes", "order")).to(
        device
    )
    for rows in order:
        optimizer.zero_grad()
        F.nll_loss(net(x[rows]), labels[rows]).backward()
        optimizer.step()
    return net.requires_grad_(False)


@torch.no_grad()
def class_scores(model: VAE, x: Tensor, labels: Tensor, read: Classifier) -> tuple[Row, dict[str, Row]]:
    """(metrics, metrics by class) of test images x [N, P] with labels [N]."""
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
        if kind != "prior":
            by_image[f"recognised_{kind}"] = (log_p.argmax(-1) == labels).double()
    by_image["relative_error"] = ((x - back).double().square().sum(-1)) / x.double().square().sum(-1)
    near = neighbour_shares(mu, labels)
    by_image["neighbour_purity"] = near.gather(1, labels[:, None])[:, 0]
    for name, values in by_image.items():
        metrics |= mean_and_error(name, values)
    return metrics, _by_class(by_image, near, mu, labels)


def _by_class(by_image: dict[str, Tensor], near: Tensor, mu: Tensor, labels: Tensor) -> dict[str, Row]:
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
    """The mean of q(z|x), [N, D] in float64, and E[x|z] at one z drawn from it, [N, P]."""
    means, pictures = [], []
    for block, xs in enumerate(x.split(BLOCK)):
        q = model.encode(xs)
        noise = stream("score", "classes", "reconstruction", block, device=x.device)
        z = q.draw(torch.randn((1, *q.mu.shape), generator=noise, device=x.device))[0]
        means.append(q.mu.double())
        pictures.append(model.likelihood.mean(model.decode(z)))
    return torch.cat(means), torch.cat(pictures)


def neighbour_shares(mu: Tensor, labels: Tensor) -> Tensor:
    """The classes of each point's 10 nearest others: points [N, D], labels [N] -> shares [N, C] in float64.

    Fewer than 11 points have fewer neighbours; a single one has none, and shares of nan.
    """
    K, one_hot, shares = min(NEIGHBOURS, len(mu) - 1), F.one_hot(labels, CLASSES).double(), []
    for start in range(0, len(mu), BLOCK):
        # By differences: squares would cancel between near points.
        distance = torch.cdist(mu[start : start + BLOCK], mu, compute_mode="donot_use_mm_for_euclid_dist")
        rows = torch.arange(len(distance), device=mu.device)
        distance[rows, rows + start] = torch.inf
        shares.append(one_hot[distance.topk(K, largest=False).indices].mean(1))
    return torch.cat(shares)
