"""The list of the article's claims. Nothing slow is imported here."""

from __future__ import annotations

from vaestudy.claims import c14
from vaestudy.claims.claim import Claim

CLAIMS: dict[str, Claim] = {claim.id: claim for claim in (c14.CLAIM,)}
"""The name of a claim -> the claim, in the order of the article."""
