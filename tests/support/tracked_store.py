"""A store of tracked runs for tests that read records: a study with two cells and two seeds, and single runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.studies import run_study, toy
from vaestudy.cli.main import main

SINGLE = (
    "train --dataset mnist-5k --subset 60 --epochs 1 --hidden 16 --iwae 1 3 --minibatch 30 --latent-dim 3 "
    "--figures reconstructions"
)
"""A run on the images of the study: it can be compared with the study's runs."""
OTHERS = (
    f"{SINGLE} --pixels dequantised --likelihood gaussian",
    f"{SINGLE} --pixels dequantised --likelihood categorical-256",
)
"""Runs whose numbers may not be ranked against those of the study, nor against each other's in nats."""


def make_store(folder: Path) -> None:
    """Run the study and the single runs; record them in `folder`."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VAESTUDY_MLRUNS", str(folder))
        patched.delenv("MLFLOW_TRACKING_URI", raising=False)
        study = toy(base=toy().base.with_changes(figures=("reconstructions", "prior_means")))
        assert run_study(study) == 0
        for command in (SINGLE, *OTHERS):
            assert main(command.split()) == 0
