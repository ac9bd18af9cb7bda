"""What does a VAE know of the classes that it never saw?

Command: make study-classes
Minutes: 3.5 on full MNIST, 1.5 on mnist-5k (two cores, after installation)
Claims:  C10, «samples of the prior at D=10 look like blurred overlays of digits»; C11, «reconstructions are good, 0, 1
         and 7 best, some 4, 5 and 9 poor»; C12, «at D=2 0, 1 and 7 lie apart, 4 and 9 overlap most»; C13, «repeated
         runs give the same latent picture up to flips and axis swaps»

Found (ten seeds, full MNIST): at D=10 a classifier is unsure of 56.4 ± 0.8 % of the samples and of 12.7 ± 0.3 % of the
reconstructions, 1, 0 and 7 reconstruct best in ten of ten seeds, and 5 worst. At D=2 0 and 1 lie apart, 7 does not, and
4 and 9 overlap most (30.9 ± 3.4 % of each other's surroundings). Planes of two seeds are alike up to a rotation (0.13
of the layout unexplained) rather than up to flips and swaps (0.39); docs/classes.md has more.

The article's model and protocol at its two dimensions, 2 for the latent plane and 10 for the images (5 and 20 with
--full), ten seeds. Labels are used at the end alone: for the neighbours of each test image in latent space, and for a
small classifier of the train images, the same for all runs, that reads reconstructions and samples of the prior.
Pictures are decoder means, as the article shows them. What each number means stands at the top of
vaestudy/evaluate.py, how latent planes are compared in vaestudy/planes.py.
"""

from vaestudy import RunConfig, Study, study_main

STUDY = Study(
    name="classes",
    doc=__doc__,
    base=RunConfig.preset("article", valid_size=None, epochs=None, class_scores=True, iwae=(1, 100)),
    factors={"latent_dim": (2, 10)},
    full={"latent_dim": (5, 20)},
    baseline={"latent_dim": 10},
    seeds=10,
    tabulate=(
        "test/elbo",
        "test/neighbour_purity",
        "test/recognised_reconstruction",
        "test/relative_error",
        "test/unclear_prior",
    ),
    figures=("class_panels", "clarity_panels", "class_neighbours", "class_planes"),
    tables=("by_class", "overlaps", "clarity", "same_plane"),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
