"""Which decoder likelihood gives the most for grey pixels, and does the Gaussian earn its bad name?

Command: make study-likelihoods
Minutes: 50 on full MNIST (two cores, after installation); with --full about 120
Claims:  C5 «a Gaussian's reconstruction loss is 10^9 times the KL, and it is hard to train», C6 «truncating it puts
         unreasonable density at the borders», C7 «Bernoulli cannot model intermediate grey, Beta fits better»,
         C8 «Bernoulli is simple, fast and stable»
Found:   at D=20 discretised-logistic and clipped-gaussian take 1.6 bits/dim, Beta 2.0, bernoulli 5.7

Each likelihood, the Beta by both of its parameterisations and the Gaussian with each kind of scale, at D=2, 10 and 20,
on dequantised pixels, all else the default protocol: 784-256-D-256-784 ReLU, log-variance heads, M=100, L=1, estimator
B, Adam at 1e-3, 10 epochs. Nats of a density, a mass and a Bernoulli are not of one kind, so arms are ranked by bits
per dimension, to which `bernoulli` comes by the continuous Bernoulli that its decoder implies. The log-likelihood over
the KL is given for the first step of training and for the last epoch. `--full` adds categorical-256, the ceiling.
docs/likelihoods.md has what was found.
"""

from vaestudy.cli import study_main
from vaestudy.config import RunConfig
from vaestudy.design import Study

STUDY = Study(
    name="likelihoods",
    doc=__doc__,
    base=RunConfig(pixels="dequantised", figures=("decoder_samples", "pixel_calibration", "likelihood_over_kl")),
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
        "likelihood_scale": ("per-pixel", "learned", "fixed", "optimal"),
        "likelihood_parameters": ("mean-concentration", "alpha-beta"),
        "latent_dim": (2, 10, 20),
    },
    full={"likelihood": ("categorical-256",)},
    baseline={
        "likelihood": "bernoulli",
        "likelihood_scale": "per-pixel",
        "likelihood_parameters": "mean-concentration",
        "latent_dim": 20,
    },
    tabulate=(
        "test/bits_per_dim",
        "test/mse",
        "test/histogram_distance",
        "train/first_likelihood_over_kl",
        "seconds_per_epoch",
        "train/likelihood_over_kl",
        "test/mass_at_0",
        "test/mass_near_1",
        "test/pit_distance",
        "test/mae",
    ),
    figures=("arms",),
    gallery="decoder_samples",
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
