"""The fault harness for searched studies: kill a study in mid-search until it is complete, then compare its records.

    python -m tests.robustness.search_faults --kills 100 --seed 0

Run it from the repository's root; `make test-faults` does. Kills and restarts are those of `faults.py`. At the end each
configuration has one complete record in MLflow, Optuna's trials agree with the records, the budget is exactly met, and
nothing is RUNNING or left in the outbox. The trials of a sequential search are those of an undisturbed one, to the bit.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tests.robustness.faults import VICTIMS, Tally, start, torment
from tests.robustness.search_records import essence, faults, journal, searches_of

STUDY = '''"""Does a search survive?

Minutes: 1
"""

from vaestudy.cli.study import study_main
from vaestudy.config.run_config import RunConfig
from vaestudy.study.declaration import Study
from vaestudy.study.search import Search
from vaestudy.study.search_space import Choices, FloatRange

BASE = RunConfig(dataset="mnist-5k", subset=1000, epochs={epochs}, hidden=(64,), iwae=(1,), figures=(), latent_dim=2)
SPACE = {{"learning_rate": FloatRange(low=1e-5, high=1e-1, log=True), "minibatch": Choices(50, 100)}}
STUDY = Study(name="faults", doc=__doc__, base=BASE, seeds=1, tabulate=("test/elbo",), {declared})

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
'''
SEARCH = "search=Search(space=SPACE, trials={trials}, {more})"
FACTORS = 'factors={"latent_dim": (2, 5)}, baseline={"latent_dim": 2}'
PRUNED = 'pruner="HyperbandPruner"'
BUDGET = 8


@dataclass(frozen=True)
class Kind:
    """A kind of searched study."""

    declared: str
    """The part of the declaration that makes it one."""
    epochs: int
    flags: tuple[str, ...]
    sequential: bool
    sweep: str = "mnist-5k"
    budget: int = BUDGET


KINDS = {
    "one process": Kind(SEARCH.format(trials=BUDGET, more=PRUNED), 9, ("--workers", "0"), True),
    "two workers": Kind(SEARCH.format(trials=BUDGET, more=PRUNED), 9, ("--workers", "2", "--retries", "1000"), False),
    "seeds": Kind(
        SEARCH.format(trials=BUDGET, more='pruner="WilcoxonPruner", seeds=4'), 2, ("--workers", "0"), True
    ),
    "arms": Kind(
        FACTORS, 4,
        ("--workers", "2", "--retries", "1000", "--tune", "learning_rate", "--tune-budget", "4"), True,
        "mnist-5k-tune=learning_rate", 4,
    ),
}  # fmt: skip


def campaign(kind: Kind, kills: int, seed: int, folder: Path, longest: float, victims: Sequence[str]) -> list[str]:
    """Run and disturb one study with at most this many kills; return what is wrong afterwards, one line each."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "faults.py"
    script.write_text(STUDY.format(epochs=kind.epochs, declared=kind.declared))
    reference = {}
    if kind.sequential:
        if start(script, folder / "reference", kind.flags).wait(timeout=600):
            raise RuntimeError((folder / "reference.log").read_text())
        reference = searches_of(journal(folder / "reference", "faults", kind.sweep), kind.sweep)
    home, tally = folder / "home", Tally()
    if "0" in kind.flags:
        victims = ("driver",)
    torment(script, home, tally, kills, random.Random(seed), longest, victims, kind.flags)
    found = searches_of(journal(home, "faults", kind.sweep), kind.sweep)
    with mock.patch.dict("os.environ", VAESTUDY_MLRUNS=str(home)):
        wrong = faults(home, "faults", kind.sweep, kind.budget, found)
    for name, trials in reference.items():
        pairs = zip(essence(trials), essence(found[name]), strict=True)
        wrong += [
            f"{name}: trial {once[0]} differs: {again} in place of {once}" for once, again in pairs if once != again
        ]
    print(f"{dict(tally.kills)}: {sum(map(len, found.values()))} trials, {len(wrong)} faults", flush=True)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of all studies together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--longest", type=float, default=14.0, help="seconds before a kill, at most")
    arguments = parser.parse_args()
    wrong, each = [], 10
    for number in range(max(1, arguments.kills // each)):
        name = arguments.kinds[number % len(arguments.kinds)]
        print(f"{name}: ", end="", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            seed = arguments.seed + number
            wrong += campaign(KINDS[name], each, seed, Path(folder), arguments.longest, VICTIMS)
    print("\n".join(wrong) or "no trial was lost, doubled or changed")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
