"""How many latent dimensions does the bound reward, and does reconstruction keep improving beyond that?

Command: make study-latent-dims
Minutes: 3.5 on full MNIST, 1.5 on mnist-5k (two cores, after installation)
Claim:   C14, «more latent dimensions reconstruct better»
Expect:  full MNIST, test ELBO -155.3 at D=2, -111.6 at D=10, -106.9 at D=20 and -106.8 at D=50

Found (ten seeds, full MNIST). From D=10 to D=20 the log-likelihood gains 11.3 ± 0.3 nats and the ELBO gains 4.8 ± 0.1.
From D=20 to D=50 the log-likelihood gains 0.4 ± 0.5, the KL grows by 0.4 ± 0.5, and the ELBO changes by 0.0 ± 0.2. More
dimensions do give better reconstructions, but the ELBO stops improving at about D=20. Of 50 dimensions 34 ± 2 are
active.

D is 2, 3, 5, 10, 20 and 50 (also 200 with --full), with three seeds. Every other choice is the article's:
784-256-D-256-784 ReLU, Bernoulli on grey pixels, raw sigma, M=100, L=1, estimator B, Adam at 1e-3, 10 epochs, and the
summed loss with its guarded logarithms and its second biases. One choice differs from the article's script: 5,000 train
images (500 of mnist-5k) form a validation split. The training curves thus show a split that is neither trained on nor
the test set.
"""

from vaestudy import RunConfig, Study, study_main

STUDY = Study(
    name="latent-dims",
    doc=__doc__,
    base=RunConfig.preset("article", valid_size=None, epochs=None),
    factors={"latent_dim": (2, 3, 5, 10, 20, 50)},
    full={"latent_dim": (200,)},
    baseline={"latent_dim": 2},
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
