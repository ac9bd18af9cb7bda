"""What does a VAE know of the classes that it never saw?

Command: make study-classes
Minutes: 3.5 on full MNIST, 1.5 on mnist-5k (two cores, after installation)
Claims:  C10, «samples of the prior at D=10 look like blurred overlays of digits»; C11, «reconstructions are good, 0, 1
         and 7 best, some 4, 5 and 9 poor»; C12, «at D=2 0, 1 and 7 lie apart, 4 and 9 overlap most»; C13, «repeated
         runs give the same latent picture up to flips and axis swaps»

Found (ten seeds, full MNIST). At D=10 a classifier is unsure of 55.2 ± 1.0 % of the samples of the prior and of 12.6 ±
0.3 % of the reconstructions. By relative error the classes 1, 0 and 7 have the best reconstructions in ten of ten
seeds, and 5 has the worst. At D=2 the classes 0 and 1 lie apart and 7 does not; 4 and 9 overlap most (31.3 ± 3.7 % of
the nearest neighbours of one are images of the other, the mean of both directions). The latent pictures of two seeds
agree better up to a rotation (0.13 of the layout unexplained) than up to flips and swaps of the axes (0.29).
docs/classes.md has the details.

The model and the protocol are the article's, with ten seeds, at the article's two values of D: 2 for the latent picture
and 10 for the images. `--full` adds 5 and 20. The labels are not used in training. They are used afterwards for two
measurements: the classes of each test image's nearest neighbours in latent space, and a small classifier that is
trained on the train images, is the same for all runs, and classifies reconstructions and samples of the prior.
Generated images are means of the decoder, as in the article. vaestudy/scoring/score.py defines each metric;
vaestudy/reporting/procrustes.py defines how the latent spaces of two runs are compared.
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
