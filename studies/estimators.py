"""Which gradient estimator reaches the best bound, and how noisy is each?

Command: make study-estimators
Minutes: 45 on full MNIST (two cores, after installation)
Claims:  C1, «the score function's gradient has far too much variance»; C2, «the KL is best used in closed form»

Seven estimators by L in 1, 5, 50, three seeds, every other choice the article's, D=10, but 5 epochs. All are scored by the
same bounds. The noise of the objective's value and of its gradient, and the encoder's signal-to-noise ratio, are measured
at the start, after epoch 1 and at the end, for the run's own estimator and for all of them at the same weights (the table
`noise`). At L=1 iwae is sgvb-a and dreg is stl; score-function-loo compares draws and has none to compare: these cells
are left out. docs/estimators.md has what was found.
"""

from vaestudy.cli import study_main
from vaestudy.config import RunConfig
from vaestudy.design import Study

ESTIMATORS = ("sgvb-a", "sgvb-b", "stl", "iwae", "dreg", "score-function-loo", "score-function")

STUDY = Study(
    name="estimators",
    doc=__doc__,
    base=RunConfig.preset(
        "article",
        valid_size=None,
        epochs=5,
        latent_dim=10,
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
