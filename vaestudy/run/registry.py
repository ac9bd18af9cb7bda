"""The figures of a run by name.

The functions that draw them are named as text and imported on use, because matplotlib and torch are slow to import.
"""

from __future__ import annotations

from vaestudy.config.registry import Spec

RUN_FIGURES = (
    Spec("reconstructions", "vaestudy.run.figures:reconstructions"),
    Spec("prior_means", "vaestudy.run.figures:prior_means"),
    Spec("prior_samples", "vaestudy.run.figures:prior_samples"),
    Spec("decoder_samples", "vaestudy.run.figures:decoder_samples"),
    Spec("pixel_calibration", "vaestudy.run.figures:pixel_calibration"),
    Spec("training_curves", "vaestudy.run.figures:training_curves"),
    Spec("likelihood_over_kl", "vaestudy.run.figures:likelihood_over_kl"),
    Spec("kl_per_dimension", "vaestudy.run.figures:kl_per_dimension"),
    Spec("latent_means", "vaestudy.run.figures:latent_means"),
    Spec("manifold", "vaestudy.run.figures:manifold"),
    Spec("traversals", "vaestudy.run.figures:traversals"),
)
