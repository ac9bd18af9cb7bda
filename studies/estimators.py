"""Which gradient estimator reaches the best bound, and how noisy is each?

Command: make study-estimators
Minutes: 40 on full MNIST (two cores, after installation)
Claims:  C1, «the score function's gradient has far too much variance»; C2, «the KL is best used in closed form»

Seven estimators by L in 1, 5, 50, three seeds; the article's nets, D=10, Bernoulli on grey pixels, M=100, Adam at
1e-3, but 5 epochs (on mnist-5k give --epochs 40), and sigma = exp(head / 2), as the gradient of ln sigma^2 of a raw
sigma has a variance that no number of draws pins down. All are scored by the same bounds. The noise of the objective's
value and of its gradient, and the encoder's signal-to-noise ratio, are measured at the start, after epoch 1 and at the
end, for the run's own estimator and for all of them at the same weights (the table `noise`). At L=1 iwae is sgvb-a and
dreg is stl, and score-function-loo has no draws to compare: these cells are left out. docs/estimators.md has what was
found.
"""

from vaestudy import RunConfig, Study, study_main

ESTIMATORS = ("sgvb-a", "sgvb-b", "stl", "iwae", "dreg", "score-function-loo", "score-function")

STUDY = Study(
    name="estimators",
    doc=__doc__,
    base=RunConfig(
        epochs=5,
        gradient_images=200,
        gradient_estimators=ESTIMATORS,
        figures=("reconstructions", "training_curves"),
    ),
    factors={"estimator": ESTIMATORS, "samples": (1, 5, 50)},
    leave_out=(
        {"estimator": "score-function-loo", "samples": 1},
        {"estimator": "iwae", "samples": 1},
        {"estimator": "dreg", "samples": 1},
    ),
    baseline={"estimator": "sgvb-b", "samples": 1},
    tabulate=(
        "test/elbo",
        "test/iwae_100",
        "gradient/end/value/var_eps",
        "gradient/end/all/variance",
        "gradient/end/encoder/snr_draws",
        "test/active_units",
        "seconds/train",
    ),
    figures=("estimator_panels",),
    tables=("noise",),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
