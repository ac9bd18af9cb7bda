"""C12: at D=2, the classes 0, 1 and 7 lie apart, and 4 and 9 overlap most.

The measure was fixed with the claim: the classes among the ten nearest other test images in the latent plane. Both
statements are about an order, so no amount has to be chosen:

* A class lies apart if its own share among its neighbours is above that of each of the seven other classes. 0, 1 and 7
  are a part each.
* 4 and 9 overlap most if the share of each among the other's neighbours, averaged over both directions, is above that
  of every other pair. In each run it is compared with the largest of the other 44 pairs.
"""

from __future__ import annotations

import itertools

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import Exceeds
from vaestudy.claims.measures import Mean, Quantity
from vaestudy.claims.part import Part
from vaestudy.evidence.needs import need

ARM = need("classes", 10, latent_dim=2)
APART, CLASSES = (0, 1, 7), range(10)
MOST = (4, 9)
ORDER = Exceeds("points", "An order names no amount.", 0.0)
PAIRS = list(itertools.combinations(CLASSES, 2))
OTHERS = [c for c in CLASSES if c not in APART]


def purity_margin(own: float, *others: float) -> float:
    """Return the share of a class among its own neighbours minus the largest that any of the others has."""
    return own - max(others)


def overlap_margin(*shares: float) -> float:
    """Return the overlap of 4 and 9 minus the largest of any other pair.

    Args:
        shares: for each pair in PAIRS, the share of the second among the neighbours of the first, and the reverse.
    """
    overlaps = {pair: (shares[2 * i] + shares[2 * i + 1]) / 2 for i, pair in enumerate(PAIRS)}
    return overlaps.pop(MOST) - max(overlaps.values())


def _apart(label: int) -> Part:
    return Part(
        name=f"for {label}",
        question=f"Has {label} a larger share of its own class among its neighbours than 2, 3, 4, 5, 6, 8 and 9?",
        says=f"class {label} has {{more|fewer}} neighbours of its own class than the best of seven other classes",
        measure=Mean(ARM, Quantity(tuple(f"test/class_{c}/neighbour_purity" for c in (label, *OTHERS)), purity_margin)),
        criterion=ORDER,
    )


CLAIM = Claim(
    id="C12",
    words="In the latent plane of D=2, the classes 0, 1 and 7 lie apart, and 4 and 9 overlap most.",
    question="Are 0, 1 and 7 the purest classes of the plane, and is the overlap of 4 and 9 the largest?",
    parts=(
        *map(_apart, APART),
        Part(
            name="for the overlap of 4 and 9",
            question="Is the overlap of 4 and 9 larger than that of any other pair?",
            says="the overlap of 4 and 9 is {larger|smaller} than the largest of any other pair",
            measure=Mean(
                ARM,
                Quantity(
                    tuple(f"test/class_{a}/neighbours_{b}" for one in PAIRS for a, b in (one, one[::-1])),
                    overlap_margin,
                ),
            ),
            criterion=ORDER,
        ),
    ),
    figure=("classes", "class_neighbours"),
)
