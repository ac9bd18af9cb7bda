"""Which decoder likelihood gives the most for grey pixels, and does the Gaussian earn its bad name?

Command: make study-likelihoods
Minutes: 50 on full MNIST (two cores, after installation); with --full about 120
Claims:  C5 «a Gaussian's reconstruction loss is 10^9 times the KL, and it is hard to train», C6 «truncating it puts
         unreasonable density at the borders», C7 «Bernoulli cannot model intermediate grey, Beta fits better»,
         C8 «Bernoulli is simple, fast and stable»

Found (three seeds, full MNIST, D=20). In bits/dim: discretised-logistic 1.563 ± 0.003, clipped-gaussian 1.575 ± 0.006,
beta 2.004 ± 0.002, truncated-gaussian 2.156 ± 0.008, and bernoulli 5.723 ± 0.023 by the density that its decoder
implies. A Gaussian with one scale for all pixels has the best means (squared error 0.009) and the worst density (6.7
bits/dim). None of 108 runs failed. An epoch takes 1.7 s with bernoulli and 1.8 to 5.4 s with the others.
categorical-256, the reference for the best possible value, has 1.268 ± 0.004.

The study compares each likelihood, with both parameterisations of the Beta and each kind of scale of the Gaussian, at
D=2, 10 and 20 on dequantised pixels. All else is the default protocol: 784-256-D-256-784 ReLU, log-variance heads,
M=100, L=1, estimator B, Adam at 1e-3, 10 epochs. The nats of a density, of a mass and of a Bernoulli are different
quantities, so the arms are ranked by bits per dimension. For `bernoulli` these are computed from the continuous
Bernoulli that its decoder implies. The ratio of the log-likelihood to the KL is given for the first step of training
and for the last epoch. `--full` adds categorical-256. docs/likelihoods.md has the results.
"""

from vaestudy import RunConfig, Study, study_main

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
