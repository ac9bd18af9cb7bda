"""The images of a run, as they were when it was trained and scored: what `vaestudy.data` returns.

Shapes: n images of height H, width W and C channels. Images are uint8 [n, H, W] if C = 1, else [n, H, W, C].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vaestudy.config.image_shape import ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.data.layout import as_images
from vaestudy.data.sources import Split
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.tracking.database_checks import require_records
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.recorded_run import recorded_config
from vaestudy.tracking.tracked_run import TrackedRun


@dataclass(frozen=True, repr=False)
class LabelledImages:
    """The images of one split, and their labels."""

    images: Tensor
    """The stored bytes, uint8 [n, H, W] or [n, H, W, C]. If the pixel protocol draws the images once, these are the
    drawn ones. Change nothing in them: the next run in this process uses the same memory."""
    labels: Tensor | None
    """int64 [n], or None if there are no labels."""

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        """Return the shape of the images, and whether there are labels."""
        return f"images uint8 {list(self.images.shape)}, {'no labels' if self.labels is None else 'labels'}"


@dataclass(frozen=True)
class RunData:
    """The images of a run. What has influenced a choice is train and valid; test is for the end."""

    name: str
    """The name of the data set."""
    train: LabelledImages
    valid: LabelledImages
    test: LabelledImages
    fingerprint: str
    """SHA-256 of the complete data set, the tag `data.fingerprint` of the run."""
    shape: ImageShape
    """Height, width and channels of an image."""
    classes: int
    """Number of classes; 0 if there are no labels."""
    facts: Mapping[str, str]
    """What was done to make the data set of its files."""


def data(
    run: str | TrackedRun | RunConfig, *, data_dir: Path | str | None = None, tracking_uri: str | None = None
) -> RunData:
    """Return the images of a run: train, valid and test, cut as the run had them.

    Args:
        run: the run's id, or its first digits; what `vaestudy.train` returned; or a configuration, for the images that
            a run of it would have.
        data_dir: the folder of the data sets [default: that of the run if `run` is one of `vaestudy.train`, else
            VAESTUDY_DATA_DIR, else the user's cache].
        tracking_uri: the address of the tracker [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db].

    Raises:
        BadInput: there is no such run, or the images are not there, or they are not those of the run.
    """
    if isinstance(run, TrackedRun) and data_dir is None:
        root = run.data_root
    else:
        root = datasets.data_root(None if data_dir is None else Path(data_dir))
    if isinstance(run, RunConfig):
        return _shaped(datasets.load_splits(datasets.resolve(run, root)[0], root))
    fingerprint: str | None
    if isinstance(run, TrackedRun):
        shown, config, fingerprint = str(run.id), run.config, run.record.data["fingerprint"]
    else:
        shown, config, fingerprint = _recorded(run, tracking_uri)
    return _shaped(images_of_run(shown, config, fingerprint, root))


def images_of_run(run_id: str, config: RunConfig, fingerprint: str | None, root: Path) -> datasets.Data:
    """Return the data set of a run, split into train, valid and test images as in the run.

    Args:
        run_id: the run, for the message.
        config: its configuration.
        fingerprint: the fingerprint of its data set; None if the run has none on record.
        root: the folder of the data sets.

    Raises:
        BadInput: the images are not there, or they are not those of the run.
    """
    datasets.verify(config, root)
    found = datasets.load_splits(config, root)
    if found.fingerprint != fingerprint:
        raise BadInput(f"run {run_id} was made from other images than {config.dataset} under {root} holds")
    return found


def _recorded(run: str, tracking_uri: str | None) -> tuple[str, RunConfig, str | None]:
    """Return the full id of a tracked run, its configuration and the fingerprint of its data."""
    uri = addresses.tracking_uri(tracking_uri)
    require_records(uri)
    tracker = Tracker(uri)
    row = tracker.get(tracker.full_run_id(run))
    if "tags.config.key" not in row:
        raise BadInput(f"run {run} is not the run of one model, so it has no images")
    return row["run_id"], recorded_config(row), row.get("tags.data.fingerprint")


def _shaped(found: datasets.Data) -> RunData:
    """Return a data set with its images in their shape."""

    def shaped(split: Split) -> LabelledImages:
        return LabelledImages(as_images(split.images, found.shape), split.labels)

    splits = shaped(found.train), shaped(found.valid), shaped(found.test)
    return RunData(found.name, *splits, found.fingerprint, found.shape, found.classes, found.facts)
