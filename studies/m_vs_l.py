"""With M=100, is one draw of z per image enough, and can M and L be traded against each other?

Command: make study-m-vs-l
Minutes: 55 on full MNIST (two cores, after installation)
Claims:  C3, «with M=100, L=1 is already excellent»; C4, «M and L can be traded against each other»

M in 20, 50, 100, 200, 500 and L in 1, 2, 5, 10, 20 (10 to 1000 and 50 with --full), three seeds, every other choice the
article's, D=10. A second arm, at L=1, lets the step size grow with M, by sqrt(M / 100) and by M / 100, so that M is not
confounded with it. One run of a cell gives its bound at equal images seen, at equal decoder passes (M L steps) and at
equal training seconds: it is recorded on the validation split along the way, with the clock stopped. The gradient's
variance is split into what the images and what the draws cause, at the start, after epoch 1 and at the end; from it
follows which L the measured cost of a step makes best. docs/m-vs-l.md has what was found.
"""

from vaestudy.cli import study_main
from vaestudy.config import RunConfig
from vaestudy.design import Study

SCALED = ("sqrt", "linear")
SEVERAL = (2, 5, 10, 20, 50)

STUDY = Study(
    name="m-vs-l",
    doc=__doc__,
    base=RunConfig.preset(
        "article",
        valid_size=None,
        epochs=None,
        latent_dim=10,
        milestones=(
            1_000,
            1_600,
            2_500,
            4_000,
            6_300,
            10_000,
            16_000,
            25_000,
            40_000,
            63_000,
            100_000,
            160_000,
            250_000,
            400_000,
            550_000,
        ),
        gradient_images=400,
        figures=("reconstructions", "training_curves"),
    ),  # fmt: skip
    factors={
        "minibatch": (20, 50, 100, 200, 500),
        "samples": (1, 2, 5, 10, 20),
        "lr_scaling": ("none", *SCALED),
    },
    full={"minibatch": (10, 1000), "samples": (50,)},
    # The second arm has one draw, and at M=100 all its rules are the first arm.
    leave_out=(
        *({"lr_scaling": rule, "samples": L} for rule in SCALED for L in SEVERAL),
        *({"lr_scaling": rule, "minibatch": 100} for rule in SCALED),
    ),
    baseline={"minibatch": 100, "samples": 1, "lr_scaling": "none"},
    tabulate=("test/elbo", "test/iwae_100", "test/kl", "test/active_units", "seconds/train"),
    figures=("m_l_heatmaps", "bound_against_cost", "pareto_front", "step_size", "variance_law"),
    tables=("one_draw", "pareto", "predicted_samples"),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
