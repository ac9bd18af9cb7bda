"""What a user's program may look like: `make types` checks it, and so the types of the public names."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd
from torch import Tensor

import vaestudy as vs


def use_everything(study: vs.Study) -> None:
    """Call each public function; nothing runs this."""
    run = vs.train(vs.RunConfig(latent_dim=2), quiet=True)
    assert_type(run, vs.TrackedRun)
    assert_type(run.id, str | None)
    assert_type(run.metrics["test/elbo"], float)
    assert_type(run.history, pd.DataFrame)
    assert_type(vs.run(run.config, data_dir=Path()), vs.Record)

    images = vs.data(run)
    assert_type(images, vs.RunData)
    assert_type(images.test.images, Tensor)
    assert_type(images.test.labels, Tensor | None)

    for model in (run.load(), vs.load(run), vs.load("0123abcd")):
        assert_type(model, vs.TrainedModel)
        assert_type(model.encode(images.test.images), vs.Posterior)
        mean, sigma = model.encode(np.zeros((1, 28, 28)), seed=1)
        assert_type(mean, Tensor)
        assert_type(model.decode(sigma), Tensor)
        assert_type(model.sample(3, seed=1, means=True), Tensor)
        assert_type(model.bound(images.test.images, samples=5), Tensor)

    result = vs.run_study(study, levels={"latent_dim": (2, 5)}, quick=True, workers=2)
    assert_type(result, vs.StudyResult)
    assert_type(result.summary, pd.DataFrame)
    assert_type(vs.runs("latent-dims", where="latent_dim>5"), pd.DataFrame)
    vs.run_study(study, quik=True)  # type: ignore[call-arg]
    vs.trian(run.config)  # type: ignore[attr-defined]
