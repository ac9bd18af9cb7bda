"""How much memory a run needs and how much is available.

Both are known before torch is imported, so that a run that does not fit is refused at once and is not killed midway.

Shapes: L samples, M minibatch, D latent dimensions, P pixels. The decoder's activations would take by far the
most memory. So a step keeps the activations of at most `max_rows` of its L M draws at a time (`model/chunking.py`,
`model/terms.py`). The rest grows slowly with L and M.
"""

from __future__ import annotations

from collections.abc import Iterable

from vaestudy.config.image_shape import DIGIT
from vaestudy.config.own_dataset import is_own
from vaestudy.config.registry import ARCHITECTURES, LIKELIHOODS
from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import spec_of
from vaestudy.errors import BadInput
from vaestudy.model.chunking import max_rows
from vaestudy.runtime.free_memory import available, capacity, gibibytes

REPEATS = 4
"""Number of gradients per image, each with fresh draws, when gradient noise is measured (`gradient_noise.py`)."""

FLOAT = 4  # bytes
DOUBLE = 8  # bytes
SCORED_AT_ONCE = 100  # images, `scoring.bounds.IMAGES_PER_BLOCK`
PROCESS = 800 * 2**20  # bytes for torch, and for a data set while its fingerprint is computed


def most_heads(config: RunConfig) -> int:
    """Return the largest number of decoder outputs per pixel that the likelihood declares."""
    return LIKELIHOODS[config.likelihood].most_heads


def estimate_bytes(config: RunConfig) -> dict[str, int]:
    """Return the bytes that a run needs, in parts.

    Returns:
        flags that determine a part -> bytes of the part. The key "" is the part that every run needs.
    """
    D, L, heads = config.latent_dim, config.samples, most_heads(config)
    spec = None if config.dataset == "auto" else spec_of(config.dataset)
    shape, images = (spec.shape, spec.train_size) if spec else (DIGIT, 60_000)
    P, M = shape.pixels, min(config.minibatch, images)
    sizes = ARCHITECTURES[config.architecture].load_sizes()(config, shape, heads)
    encoder, decoder, most = sum(sizes.encoder), sum(sizes.decoder), max_rows(heads, config.architecture)
    kept = min(L * M, most)
    row = FLOAT * (4 * heads * P + 3 * decoder)
    batch, draws = f"--minibatch {config.minibatch}", f"--samples {L}"
    parts = {
        # Twice if the draws are computed in chunks: the backward pass computes each chunk again.
        "": PROCESS + kept * row * (2 if most < L * M else 1),
        # The factor 6: weights, gradients, two moments, and copies.
        f"--latent-dim {D} with --hidden {' '.join(map(str, config.hidden))}": 6 * FLOAT * sizes.weights,
        batch: M * FLOAT * (3 * P + 3 * encoder),
        f"{draws} with {batch}": L * M * FLOAT * (36 * D + 20),
        # The log-weights of one block of images, with two copies while they are summed (`scoring/bounds.py`).
        f"--iwae {max(config.iwae)}": 3 * SCORED_AT_ONCE * DOUBLE * max(config.iwae),
    }
    if config.ais_images:
        parts[f"--ais-iwae {max(config.ais_iwae)}"] = 3 * SCORED_AT_ONCE * DOUBLE * max(config.ais_iwae)
    if is_own(config.dataset):
        # The images as they are read and as stored; those of valid and test also as float32, with a copy.
        parts[f"--dataset {config.dataset}"] = images * P * (2 + 2 * FLOAT)
    if config.gradient_images:
        draws_at_once = max(most, REPEATS * L)
        each = FLOAT * ((P + encoder + 3 * D + decoder + heads * P) * 2 + 3 * REPEATS * L)
        parts[f"{draws} with --gradient-images"] = draws_at_once * each
    return parts


def excess(config: RunConfig, at_once: int) -> float:
    """Return by how much `at_once` runs exceed this machine's memory, as a share of it; 0 or less if they fit.

    It does not depend on what other programs use now, so it is the same each time.
    """
    return sum(estimate_bytes(config).values()) * at_once / capacity() - 1.0


def require_memory(configs: Iterable[RunConfig], at_once: int = 1) -> None:
    """Raise unless the runs fit into this machine's memory.

    Args:
        configs: the configurations; the one that needs the most memory is checked.
        at_once: number of runs that execute at the same time.

    Raises:
        BadInput: `at_once` runs of the largest configuration do not fit.
    """
    parts = max((estimate_bytes(config) for config in configs), key=lambda parts: sum(parts.values()))
    needed, free = sum(parts.values()) * at_once, available()
    if needed <= free:
        return
    flags = max((name for name in parts if name), key=lambda name: parts[name])
    several = f" ({at_once} at once)" if at_once > 1 else ""
    raise BadInput(
        f"{flags}: a run{several} would take about {gibibytes(needed)}, {gibibytes(parts[flags] * at_once)} of it by "
        f"these, and {gibibytes(free)} are available"
    )
