"""C10: samples of the prior at D=10 look like blurred overlays of digits.

The claim has two words, and each is a part. Pictures are means of the decoder, as in the article.

* «Blurred»: samples are over a quarter greyer than the test images.
* «Overlays»: two measures, each against reconstructions, which have the blur of the same decoder. The entropy of a
  classifier was fixed with the claim: samples have over a quarter more. But a picture can be unclear and be no overlay.
  So the share of pictures that read as *two* digits is asked, too: no class has a probability of 0.9, but the first two
  have it together. Samples have over a quarter more of these. It is a mean over three classifiers.

Whether samples are greyer than reconstructions is exploratory: if not, the blur is the decoder's and not the prior's.
"""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import a_quarter_more
from vaestudy.claims.measures import Mean, ratio
from vaestudy.claims.part import Part, Role
from vaestudy.evidence.needs import need

ARM = need("classes", 10, latent_dim=10)


def _part(name: str, question: str, says: str, measure: str, against: str, role: Role = "part") -> Part:
    return Part(
        name=name,
        question=question,
        says=says,
        measure=Mean(ARM, ratio(f"test/{measure}_prior", f"test/{measure}_{against}"), "log"),
        criterion=a_quarter_more(),
        role=role,
    )


CLAIM = Claim(
    id="C10",
    words="At D=10, samples of the prior look like blurred overlays of digits.",
    question="Are samples of the prior greyer than images, and do more of them read as two digits at once?",
    parts=(
        _part(
            "for blur",
            "Are samples over a quarter greyer than the test images?",
            "samples are {value} as grey as the test images",
            "greyness",
            "data",
        ),
        _part(
            "for the entropy of a classifier",
            "Has a classifier over a quarter more entropy on samples than on reconstructions?",
            "a classifier has {value} the entropy on samples that it has on reconstructions",
            "class_entropy",
            "reconstruction",
        ),
        _part(
            "for reading as two digits",
            "Do over a quarter more samples than reconstructions read as two digits at once?",
            "{value} as many samples as reconstructions read as two digits at once",
            "two_classes",
            "reconstruction",
        ),
        _part(
            "blur against reconstructions",
            "Are samples over a quarter greyer than reconstructions?",
            "samples are {value} as grey as reconstructions",
            "greyness",
            "reconstruction",
            "exploratory",
        ),
    ),
    figure=("classes", "clarity_panels"),
)
