"""How far are the bounds below log p(x), and do rankings by a bound still hold by annealed importance sampling?

Command: make study-bound-tightness
Minutes: 120 on full MNIST (two cores, after installation)
Claims:  none of the article's. It checks rankings of docs/likelihoods.md (which likelihood has the fewest bits per
         dimension) and of docs/latent-dims.md (whether the bound still gains from D=10 to D=20).

The study trains each likelihood of the study `likelihoods` at D=2, 10 and 20 on dequantised pixels, by the default
protocol, and then computes on the same 500 test images: the ELBO, IWAE 100, IWAE 5000, and log p(x) by annealed
importance sampling (AIS) with its effective number of chains and its acceptance. The gap between log p(x) and the ELBO
is split into what the family of q costs and what the encoder costs. The error of AIS itself is measured on 50 images
that the model draws (bidirectional Monte Carlo, BDMC).

Three options of that study are left out by default. The Gaussians of a fixed and of a learned scale have nearly the
same scores as that of the optimal scale, and the Beta of mean and concentration is the worse of the two; `--full` adds
them. An AIS of categorical-256 takes hours a run; `--likelihood categorical-256` asks for it.

250 temperatures and 4 chains are few. They are what two cores anneal in two hours. Where the BDMC gap is above 1 nat
the table says so: there AIS is not tight, as is to be expected of a Gaussian with a scale per pixel at D=20. The flags
`--ais-temperatures 2000 --likelihood gaussian --latent-dim 20` anneal such an arm more slowly. There is one seed,
because the question is about the looseness of a trained model's bounds, and not about other trainings.
docs/bound-tightness.md says how to read the tables.
"""

from vaestudy import RunConfig, Study, study_main

STUDY = Study(
    name="bound-tightness",
    doc=__doc__,
    base=RunConfig(
        pixels="dequantised",
        iwae=(100,),
        figures=(),
        ais_images=500,
        ais_temperatures=250,
        ais_chains=4,
        ais_simulated=50,
        ais_split=True,
        ais_iwae=(100, 5000),
    ),
    factors={
        "likelihood": (
            "bernoulli",
            "continuous-bernoulli",
            "beta",
            "logit-normal",
            "truncated-gaussian",
            "clipped-gaussian",
            "discretised-logistic",
            "gaussian",
        ),
        "likelihood_scale": ("per-pixel", "optimal"),
        "likelihood_parameters": ("alpha-beta",),
        "latent_dim": (2, 10, 20),
    },
    full={"likelihood_scale": ("learned", "fixed"), "likelihood_parameters": ("mean-concentration",)},
    baseline={
        "likelihood": "beta",
        "likelihood_scale": "per-pixel",
        "likelihood_parameters": "alpha-beta",
        "latent_dim": 20,
    },
    seeds=1,
    tabulate=("test/bits_per_dim", "test/active_units", "seconds/train", "seconds/score"),
    figures=("bound_tightness",),
    tables=("bound_tightness", "bound_gaps"),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
