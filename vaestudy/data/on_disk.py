"""The data set of a plan: found on disk, and never downloaded."""

from __future__ import annotations

from pathlib import Path

from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import resolve, sizes_of


def resolve_on_disk(config: RunConfig, root: Path) -> tuple[RunConfig, str | None, bool]:
    """Fill in the name of the data set and the defaults that depend on it, as `resolve` does, without a download.

    Returns:
        (the resolved configuration, a line for the user about a data set that is not on disk, whether it is there).

    Raises:
        BadInput: a file is altered, or `valid_size` leaves no images to train on.
    """
    wanted = "mnist" if config.dataset == "auto" else config.dataset
    if DATASETS.load(wanted).present(root):
        return *resolve(config, root), True
    if config.dataset == "auto":
        note = f"MNIST is not under {root}: a run would try to download it; this plan is for mnist-5k"
        return resolve(config.with_changes(dataset="mnist-5k"), root)[0], note, True
    resolved = config.with_changes(**sizes_of(DATASETS[wanted], config))
    return resolved, f"dataset {wanted} is not under {root}: a run downloads it first", False
