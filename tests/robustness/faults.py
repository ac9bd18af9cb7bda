"""The fault harness: run a real study, kill its processes at random times until it is complete, and count the cells.

    python -m tests.robustness.faults --kills 200 --seed 0

Run it from the repository's root. `make test-faults` runs the long form, 200 kills.

A kill is SIGKILL to the driver alone, to one of its workers, or to driver and workers at once. After a kill that ends
the driver, the same command is started again. At the end of a study every cell must be FINISHED exactly once in MLflow
and COMPLETE exactly once in Optuna, nothing may be left RUNNING, and all numbers must be those of a study that was not
disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

STUDY = '''"""Does it survive?

Minutes: 1
"""

from vaestudy.cli.study import study_main
from vaestudy.config.run_config import RunConfig
from vaestudy.study.declaration import Study

BASE = RunConfig(dataset="mnist-5k", subset=1000, epochs=12, hidden=(64,), iwae=(1, 20), figures=("reconstructions",))
STUDY = Study(
    name="faults", doc=__doc__, base=BASE, factors={"latent_dim": (2, 5), "sigma": ("raw", "log-variance")},
    baseline={"latent_dim": 2, "sigma": "raw"}, seeds=3, tabulate=("test/elbo", "test/kl"),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
'''
CELLS = 12
WORKERS = 2
LONGEST = 14.0  # seconds before a kill, at most; on an idle machine an undisturbed study takes slightly longer
VICTIMS = ("driver", "worker", "everything")
FLAGS = ("--workers", str(WORKERS), "--retries", "1000")


@dataclass
class Tally:
    """Counts of the kills, and of the cells that were found at the end of the studies."""

    kills: Counter[str] = field(default_factory=Counter)
    studies: int = 0
    expected: int = 0
    once: int = 0
    lost: int = 0
    doubled: int = 0
    running: int = 0
    different: int = 0
    resumed: int = 0

    @property
    def clean(self) -> bool:
        return self.once == self.expected and not (self.lost or self.doubled or self.running or self.different)

    def table(self) -> str:
        kills = ", ".join(f"{count} x {victim}" for victim, count in sorted(self.kills.items()))
        return (
            "| faults | studies | cells expected | found once | lost | doubled | left running | other numbers |\n"
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
            f"| SIGKILL: {kills} | {self.studies} | {self.expected} | {self.once} | {self.lost} | {self.doubled} "
            f"| {self.running} | {self.different} |"
        )


def start(script: Path, home: Path, flags: Sequence[str] = FLAGS) -> subprocess.Popen[str]:
    """Start the study's command in its own session, so that a kill can reach all of its processes at once."""
    env = os.environ | {"VAESTUDY_MLRUNS": str(home), "VAESTUDY_CHECKPOINT_SECONDS": "0"}
    env.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, str(script), *flags]
    log = (home.parent / f"{home.name}.log").open("a")
    return subprocess.Popen(command, env=env, start_new_session=True, stdout=log, stderr=log, text=True)


def children(pid: int) -> list[int]:
    """Return the process ids of the workers that are children of `pid`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == pid and b"spawn_main" in (path.parent / "cmdline").read_bytes():
                found.append(int(path.parent.name))
    return found


def kill(process: subprocess.Popen[str], victim: str, rng: random.Random) -> str | None:
    """Kill the victim and return its name, or None if there was no such process yet."""
    if victim == "worker":
        workers = children(process.pid)
        if not workers:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(workers), signal.SIGKILL)
        return victim
    if victim == "everything":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    return victim


def torment(
    script: Path,
    home: Path,
    tally: Tally,
    limit: int,
    rng: random.Random,
    longest: float,
    victims: Sequence[str],
    flags: Sequence[str] = FLAGS,
) -> None:
    """Start a study and kill its processes, again and again, until `limit` kills were made; then let it finish."""
    while True:
        process = start(script, home, flags)
        while process.poll() is None:
            if tally.kills.total() >= limit:
                process.wait(timeout=600)
                break
            deadline = time.monotonic() + rng.uniform(0.5, longest)
            while time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.02)
            if process.poll() is None and (done := kill(process, rng.choice(victims), rng)):
                tally.kills[done] += 1
        if process.returncode == 0:
            return
        if process.returncode not in (-signal.SIGKILL, 1):
            raise RuntimeError(f"the study ended with {process.returncode}: {home}.log")


def numbers(home: Path) -> tuple[Counter[str], Counter[str], int, dict[str, tuple[float, ...]]]:
    """Return (FINISHED per cell, COMPLETE per cell, number still RUNNING, the final numbers of each cell)."""
    import optuna

    from vaestudy.runtime.addresses import database_uri
    from vaestudy.tracking.mlflow_tracker import Tracker

    tracker = Tracker(database_uri(home / "mlflow.db"))
    runs = tracker.runs(tracker.experiments()["faults"], {"role": "trial"})
    done = runs[runs["status"] == "FINISHED"]
    backend = optuna.storages.journal.JournalFileBackend(str(home / "optuna" / "faults" / "mnist-5k.journal"))
    study = optuna.load_study(study_name="mnist-5k", storage=optuna.storages.JournalStorage(backend))
    complete = Counter(t.user_attrs["key"] for t in study.trials if t.state.name == "COMPLETE")
    running = int((runs["status"] == "RUNNING").sum()) + sum(t.state.name == "RUNNING" for t in study.trials)
    columns = [c for c in done if c.startswith(("metrics.test/", "metrics.train/", "metrics.valid/"))]
    values = {row["tags.config.key"]: tuple(row[sorted(columns)]) for _, row in done.iterrows()}
    return Counter(done["tags.config.key"]), complete, running, values


def count(home: Path, reference: dict[str, tuple[float, ...]], tally: Tally) -> None:
    """Add the counts of one finished study to the tally."""
    finished, complete, running, values = numbers(home)
    tally.studies += 1
    tally.expected += CELLS
    tally.running += running
    for key, expected in reference.items():
        pair = finished[key], complete[key]
        tally.once += pair == (1, 1)
        tally.lost += 0 in pair
        tally.doubled += max(pair) > 1
        tally.different += values.get(key, expected) != expected


def campaign(kills: int, seed: int, folder: Path, longest: float = LONGEST, victims: Sequence[str] = VICTIMS) -> Tally:
    """Run and disturb studies until `kills` kills were made; return the counts.

    An undisturbed study runs first: its numbers are the reference.
    """
    rng, tally = random.Random(seed), Tally()
    script = folder / "faults.py"
    script.write_text(STUDY)
    undisturbed = start(script, folder / "reference")
    if undisturbed.wait(timeout=600):
        raise RuntimeError((folder / "reference.log").read_text())
    reference = numbers(folder / "reference")[3]
    while tally.kills.total() < kills:
        home = folder / f"study-{tally.studies}"
        torment(script, home, tally, kills, rng, longest, victims)
        count(home, reference, tally)
        print(json.dumps({"kills": tally.kills.total(), "studies": tally.studies, "clean": tally.clean}), flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--victims", nargs="+", choices=VICTIMS, default=VICTIMS, help="whom to kill")
    parser.add_argument("--longest", type=float, default=LONGEST, help="seconds before a kill, at most")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = campaign(arguments.kills, arguments.seed, Path(folder), arguments.longest, arguments.victims)
    print(tally.table())
    return 0 if tally.clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
