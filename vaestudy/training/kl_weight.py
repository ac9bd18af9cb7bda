"""The weight of the KL in the training objective: beta, with an optional linear warm-up.

Sønderby et al. 2016 (warm-up); Higgins et al. 2017 (beta). Scoring never uses a weight.
"""

from __future__ import annotations

from vaestudy.config.run_config import RunConfig


def kl_weight(config: RunConfig, epoch: int, step: int, steps: int) -> float:
    """Return the weight of the KL in one step: beta min(1, t / (W S)), or beta without a warm-up.

    t = (epoch - 1) S + step is the number of the step in the whole training. The weight depends on nothing else, so a
    run that continues from a checkpoint has the same weights.

    Args:
        config: beta, and W = `kl_warmup` in epochs.
        epoch: the epoch, from 1.
        step: the step in the epoch, from 1.
        steps: S, the number of steps in an epoch.
    """
    if not config.kl_warmup:
        return config.beta
    return config.beta * min(1.0, ((epoch - 1) * steps + step) / (config.kl_warmup * steps))
