"""The speed-up by more workers: a real study with one worker and with several, in turn, with start-up and tables.

    python -m tests.benchmarks.speedup [--workers 2] [--repeats 3]

Run it from the repository's root.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from vaestudy.runtime.project import repository

STUDY = repository() / "studies" / "latent_dims.py"
CELLS = 12


def seconds(workers: int) -> float:
    """Return the wall-clock time of a study of twelve cells on mnist-5k, in seconds."""
    command = [sys.executable, str(STUDY), "--dataset", "mnist-5k", "--seeds", "2", "--epochs", "20"]
    with tempfile.TemporaryDirectory() as home:
        started = time.perf_counter()
        env = os.environ | {"VAESTUDY_MLRUNS": home}
        subprocess.run([*command, "--workers", str(workers)], env=env, check=True, capture_output=True)
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    ratios = []
    for _ in range(arguments.repeats):
        one, several = seconds(1), seconds(arguments.workers)
        ratios.append(one / several)
        print(f"1 worker {one:.1f} s, {arguments.workers} workers {several:.1f} s: {ratios[-1]:.2f} times as fast")
    print(f"median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}, {CELLS} cells each")


if __name__ == "__main__":
    main()
