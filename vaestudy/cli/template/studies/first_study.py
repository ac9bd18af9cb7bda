"""Do more draws of z per image give a better bound at the same number of epochs?

Minutes: 1 on mnist-5k (two cores)

A study is one file. The first line of this text is its question. Below, `base` is the configuration that all runs
share, and `factors` has the fields that vary. Each combination of levels is trained with each seed.
"""

from vaestudy import RunConfig, Study, study_main

STUDY = Study(
    name="first-study",
    doc=__doc__,
    base=RunConfig(dataset="mnist-5k", latent_dim=10, learning_rate=1e-3),
    factors={"samples": (1, 5)},
    baseline={"samples": 1},
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
