"""How many nats of KL does a lower distortion cost, and from which weight of the KL on does the posterior collapse?

Command: make study-rate-distortion
Minutes: 40 on full MNIST (two cores, after installation)

Found (three seeds, full MNIST). The best ELBO is at beta = 1 in all four arms. With the Gaussian at D=20 the active
units are 9.7 ± 1.4 at beta = 1, 3.0 ± 0.0 at 3 and none at 10; the linear theory allows 12, 3 and none. With the
continuous Bernoulli all units stay active up to beta = 10.

The weight of the KL in training, beta, is 0.1 to 10, at D=2 and 20, with two likelihoods and three seeds. Every
run is scored at beta = 1: its rate is KL(q(z|x) || p(z)), its distortion is -E_q[log p(x|z)], and rate + distortion is
-ELBO. So a larger beta moves a run along the front of the two (Alemi et al. 2018). All else is the default protocol:
784-256-D-256-784 ReLU, log-variance heads, M=100, L=1, estimator B, Adam at 1e-3, 10 epochs.

Both likelihoods are densities of dequantised pixels, because the nats of a density, of a mass and of a Bernoulli are
different quantities and may not share a column. They differ in what an informative z gains:

* `continuous-bernoulli` is the density nearest to the usual Bernoulli. A few dimensions of z gain hundreds of nats.
* `gaussian` with the fixed sigma 1 has half the squared error as its distortion, up to a constant: the loss that many
  programs use. A few dimensions gain a few nats, and only beta sigma^2 matters to training. In a linear VAE with a
  fixed sigma, a latent direction collapses if its eigenvalue of the data's covariance is at most sigma^2 (Lucas et al.
  2019), and with a weight if it is at most beta sigma^2. MNIST's largest eigenvalue is 5.1.

A second way to the front is a search: NSGA-II of Optuna proposes beta and D of 40 trainings with the likelihood
`continuous-bernoulli`, and optimises rate and distortion at once (`--sampler TPESampler` does the same with TPE). No
trial is scored on test. So the front of the search and that of the grid are compared by the validation images, in the
figure `rate_distortion_search` and the table `search_fronts`.

Two more options act on the KL in training, and are at their defaults here: `--kl-warmup W` raises beta linearly from 0
in the first W epochs, and `--free-bits` lets each dimension carry some nats at no cost.

`--full` adds D=10 and a Gaussian with one learned sigma. Such a sigma becomes smaller with the error, so it works
against the collapse. docs/rate-distortion.md explains the picture.
"""

from vaestudy import FloatRange, IntRange, RunConfig, Search, Study, study_main

STUDY = Study(
    name="rate-distortion",
    doc=__doc__,
    base=RunConfig(
        likelihood="continuous-bernoulli",  # of the search; it is a factor of the grid
        pixels="dequantised",
        iwae=(1, 10),
        figures=("reconstructions", "kl_per_dimension"),
    ),
    factors={
        "likelihood": ("continuous-bernoulli", "gaussian"),
        "likelihood_scale": ("per-pixel", "fixed"),
        "likelihood_sigma": (1.0,),
        "latent_dim": (2, 20),
        "beta": (0.1, 0.3, 1.0, 3.0, 10.0),
    },
    full={"likelihood_scale": ("learned",), "latent_dim": (10,)},
    leave_out=({"likelihood": "gaussian", "likelihood_scale": "per-pixel"},),
    search=Search(
        space={
            "beta": FloatRange(low=0.1, high=10.0, log=True),
            "latent_dim": IntRange(low=2, high=20, log=True),
        },
        objectives=("valid/kl", "valid/log_likelihood"),
        trials=40,
        sampler="NSGAIISampler",
    ),
    baseline={
        "likelihood": "gaussian",
        "likelihood_scale": "fixed",
        "likelihood_sigma": 1.0,
        "latent_dim": 20,
        "beta": 1.0,
    },
    tabulate=("test/elbo", "test/kl", "test/log_likelihood", "test/iwae_10", "test/active_units"),
    figures=("rate_distortion",),
    tables=("front",),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
