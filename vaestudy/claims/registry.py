"""The list of the article's claims. Nothing slow is imported here."""

from __future__ import annotations

from vaestudy.claims import c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, c12, c13, c14
from vaestudy.claims.claim import Claim

MODULES = (c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, c12, c13, c14)
CLAIMS: dict[str, Claim] = {module.CLAIM.id: module.CLAIM for module in MODULES}
"""The name of a claim -> the claim, in the order of the article."""
