"""With M=100, is one draw of z per image enough, and can M and L be traded against each other?

Command: make study-m-vs-l
Minutes: 38 on full MNIST (two cores, after installation); with --full about 120
Claims:  C3, «with M=100, L=1 is already excellent»; C4, «M and L can be traded against each other»

M is 20, 50, 100, 200 and 500, and L is 1, 2, 5, 10 and 20 (M also 10 and 1000, and L also 50, with --full), with three
seeds. The nets are the article's, with D=10, Bernoulli on grey pixels, Adam at 1e-3 and 10 epochs. One choice differs
from the article, where sigma is the raw output of a head: here sigma is exp(head / 2). With a raw sigma the gradient of
ln sigma^2 is proportional to 1 / sigma, and its variance cannot be estimated with any number of draws.

A second arm, at L=1, multiplies the step size by sqrt(M / 100) or by M / 100. It separates the effect of M from the
effect of a step size that does not grow with M.

One run of a cell gives its bound at equal images seen, at equal decoder passes (M L steps) and at equal training
seconds. For this the bound on the validation split is recorded at milestones while the clock is stopped. The gradient's
variance is split into the part caused by the images and the part caused by the draws: at the start, after epoch 1 and
at the end. The two parts and the measured cost of a step predict the best L. docs/m-vs-l.md has the results.
"""

from vaestudy import Level, RunConfig, Study, study_main

SCALED = ("sqrt", "linear")
MILESTONES = tuple(round(10 ** (k / 5)) for k in range(10, 29))  # five a decade, from 100 to 400,000 images
# The second arm has L=1 only. At M=100 all rules give the same step size, so those cells are already in the first arm.
SAME: list[dict[str, Level]] = [{"lr_scaling": rule, "samples": L} for rule in SCALED for L in (2, 5, 10, 20, 50)]
SAME += [{"lr_scaling": rule, "minibatch": 100} for rule in SCALED]

STUDY = Study(
    name="m-vs-l",
    doc=__doc__,
    base=RunConfig(
        milestones=MILESTONES,
        gradient_images=400,
        figures=("reconstructions", "training_curves"),
    ),
    factors={
        "minibatch": (20, 50, 100, 200, 500),
        "samples": (1, 2, 5, 10, 20),
        "lr_scaling": ("none", *SCALED),
    },
    full={"minibatch": (10, 1000), "samples": (50,)},
    leave_out=tuple(SAME),
    baseline={"minibatch": 100, "samples": 1, "lr_scaling": "none"},
    tabulate=("test/elbo", "test/iwae_100", "test/kl", "test/active_units", "seconds/train"),
    figures=("m_l_heatmaps", "bound_against_cost", "pareto_front", "step_size", "variance_law"),
    tables=("one_draw", "pareto", "predicted_samples"),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
