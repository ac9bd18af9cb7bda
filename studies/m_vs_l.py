"""With M=100, is one draw of z per image enough, and can M and L be traded against each other?

Command: make study-m-vs-l
Minutes: 38 on full MNIST (two cores, after installation); with --full about 120
Claims:  C3, «with M=100, L=1 is already excellent»; C4, «M and L can be traded against each other»

M in 20, 50, 100, 200, 500 and L in 1, 2, 5, 10, 20 (10 to 1000 and 50 with --full), three seeds; the article's nets,
D=10, Bernoulli on grey pixels, Adam at 1e-3, 10 epochs. Unlike the article's sigma, which is a head's raw output, it
is exp of half of one: the gradient of ln sigma^2 goes as 1 / sigma, whose variance no number of draws pins down. A
second arm, at L=1, lets the step size grow with M, by sqrt(M / 100) and by M / 100, so that M is not confounded with
it. One run of a cell gives its bound at equal images seen, at equal decoder passes (M L steps) and at equal training
seconds: it is recorded on the validation split along the way, with the clock stopped. The gradient's variance is split
into what the images and what the draws cause, at the start, after epoch 1 and at the end; from it follows which L the
measured cost of a step makes best. docs/m-vs-l.md has what was found.
"""

from vaestudy import Level, RunConfig, Study, study_main

SCALED = ("sqrt", "linear")
MILESTONES = tuple(round(10 ** (k / 5)) for k in range(10, 29))  # five a decade, from 100 to 400,000 images
# The second arm has one draw, and at M=100 all its rules are the first arm.
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
