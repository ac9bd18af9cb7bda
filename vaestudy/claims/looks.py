"""The looks at a claim. A look is one judgement of a claim; between two looks, seeds are added.

`vaestudy article --until-decided` judges a claim, adds seeds if it is undecided, and judges it again, LOOKS times at
most. Each look may give a wrong answer by chance, so each is made at the level ALPHA / LOOKS (`claims/claim.py`).

What a further look needs is written down before its runs begin: the arms, and the number of seeds of each. So a
command that was killed makes the same looks when it goes on, and never one in between. A claim for which a further look
was written down is judged at ALPHA / LOOKS from then on, by every command.

The file is JSON: claim -> a list of further looks, each of them name of an arm -> its number of seeds. It lies under
mlruns/article/; the looks behind the committed runs are in docs/data/looks.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from vaestudy.claims.claim import Claim
from vaestudy.errors import BadInput
from vaestudy.evidence.needs import Need
from vaestudy.runtime.files import write_files

LOOKS = 3
"""The number of looks that `--until-decided` may make at a claim, the first included."""
COMMITTED = "looks.json"
"""The name of the file beside the committed runs."""

Look = dict[str, int]
"""Name of an arm -> its number of seeds in a look."""


class Looks:
    """The further looks at claims that were written down.

    Args:
        further: name of a claim -> its further looks, in their order.
    """

    def __init__(self, further: Mapping[str, list[Look]] | None = None) -> None:
        self.further = {name: list(looks) for name, looks in (further or {}).items()}

    @classmethod
    def read(cls, *files: Path) -> Looks:
        """Return the looks of some files; of a claim in several files, the longest list. A file may be missing.

        Raises:
            BadInput: a file is no file of looks.
        """
        found: dict[str, list[Look]] = {}
        for file in files:
            for name, looks in _content(file).items():
                found[name] = max(found.get(name, []), looks, key=len)
        return cls(found)

    @property
    def counts(self) -> dict[str, int]:
        """Return name of a claim -> the number of its looks, for claims that have more than one."""
        return {name: LOOKS for name, looks in self.further.items() if looks}

    def left(self, claim: Claim) -> int:
        """Return how many further looks at a claim are left."""
        return LOOKS - 1 - len(self.further.get(claim.id, []))

    def add(self, claim: Claim, arms: Iterable[Need]) -> None:
        """Add a further look at a claim; an arm that is named twice gets the larger number of seeds."""
        look: Look = {}
        for arm in arms:
            look[arm.name] = max(arm.seeds, look.get(arm.name, 0))
        self.further.setdefault(claim.id, []).append(look)

    def needs(self, claim: Claim) -> list[Need]:
        """Return what a claim needs, with the seeds of all looks."""
        looks = self.further.get(claim.id, [])
        return [one.with_seeds(max([one.seeds, *(look.get(one.name, 0) for look in looks)])) for one in claim.needs]

    def text(self) -> str:
        """Return the content of a file of looks."""
        return json.dumps(self.further, indent=1, sort_keys=True) + "\n"

    def write(self, file: Path) -> None:
        """Write a file of looks, all of it or nothing.

        Raises:
            BadInput: it cannot be written.
        """
        write_files(file.parent, {file.name: self.text().encode()}, "the looks at claims")


def _content(file: Path) -> dict[str, list[Look]]:
    """Return the content of a file of looks; empty if there is no such file.

    Raises:
        BadInput: it is no file of looks.
    """
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8")).items()
        return {str(name): [{str(arm): int(n) for arm, n in look.items()} for look in looks] for name, looks in found}
    except (ValueError, TypeError, AttributeError):
        raise BadInput(f"{file}: must be a JSON object of looks: claim, arm, number of seeds") from None
