"""Tests of `--seeds-until WIDTH`, which adds seeds until the differences of a study are known well enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from tests.support.studies import recorded, run_study, searching, toy
from vaestudy.runtime.console import PlainConsole
from vaestudy.study.declaration import Study
from vaestudy.study.plan import Plan
from vaestudy.sweep import seeds_until
from vaestudy.sweep.sweep_options import SweepOptions

BAD: list[tuple[Callable[..., Study], str, list[str]]] = [
    (toy, "--seeds-until 0", ["--seeds-until 0: must be a finite number, above 0"]),
    (toy, "--seeds-until nan", ["--seeds-until nan"]),
    (toy, "--most-seeds 4", ["--most-seeds 4: goes with --seeds-until WIDTH"]),
    (toy, "--seeds-until 1 --most-seeds 2", ["--most-seeds 2: must be at least 3"]),
    (toy, "--seeds-until 1 --seeds 2", ["--seeds-until 1: begins with 3 seeds or more, not with --seeds 2"]),
    (toy, "--seeds-until 1 --latent-dim 2", ["--seeds-until 1: needs two cells or more"]),
    (toy, "--seeds-until 1 --latent-dim 3 5", ["--seeds-until 1: needs the baseline, latent_dim=2, among", "3 5"]),
    (searching, "--seeds-until 1", ["--seeds-until 1: adds seeds to a study without a search", "here --seeds sets"]),
]


@pytest.mark.parametrize(("study", "flags", "parts"), BAD)
def test_what_is_refused(
    study: Callable[..., Study], flags: str, parts: list[str], mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_study(study(), *flags.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    for part in parts:
        assert part in err
    assert not mlruns.exists()


def test_seeds_are_added_up_to_the_cap(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No number of seeds reaches the width, so the cap ends it; the same command has nothing more to run."""
    flags = ["--seeds-until", "1e-9", "--most-seeds", "4"]
    assert run_study(toy(), *flags) == 0
    err = capsys.readouterr().err
    assert "3 seeds: the widest difference of ELBO is known to ±" in err
    assert "± 1e-09 is not reached" in err
    runs, _ = recorded(mlruns)
    assert sorted(zip(runs["params.latent_dim"], runs["params.seed"], strict=True)) == [
        (D, seed) for D in ("2", "3") for seed in ("0", "1", "2", "3")
    ]
    assert "Seeds were added until" in (mlruns / "tables" / "toy" / "table.md").read_text()
    assert run_study(toy(), *flags) == 0
    assert len(recorded(mlruns)[0]) == len(runs)


def test_no_seed_is_added_if_the_differences_are_known(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(toy(), "--seeds-until", "1e6") == 0
    assert "; enough" in capsys.readouterr().err
    assert len(recorded(mlruns)[0]) == 6  # the study has two seeds; the rule begins with three


def test_no_seed_is_added_if_no_run_has_the_score(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All runs diverged. Runs with further seeds would do the same, up to the largest number of seeds."""
    study = toy()
    plan = Plan(study, study.base, study.factors, 2)
    runs = [
        {"status": "FAILED", "start_time": 0, "run_id": f"r{place}", "tags.config.key": cell.config.key}
        | {"params.latent_dim": str(cell.config.latent_dim), "params.seed": str(cell.config.seed)}
        | {"params.likelihood": "bernoulli", "params.subset": "60", "params.pixels": "grey"}
        | {"tags.data.fingerprint": "f"}
        for place, cell in enumerate(plan.cells({}))
    ]
    publisher = SimpleNamespace(destination=lambda: SimpleNamespace(cell_runs=lambda: pd.DataFrame(runs)))
    sweeps: list[Any] = []

    def run_sweep(*arguments: Any) -> SimpleNamespace:
        sweeps.append(arguments)
        return SimpleNamespace(publisher=publisher, crashed=0, waiting=0, unstarted=0)

    monkeypatch.setattr(seeds_until, "run_sweep", run_sweep)
    sweep: Any = SimpleNamespace(study=study)
    options = SweepOptions(seeds_until=1.0)
    seeds_until.run_with_seeds(sweep, plan, options, None, PlainConsole(stderr=True))  # type: ignore[arg-type]
    assert len(sweeps) == 1
    assert "2 seeds: no finished run has ELBO, so no seeds are added" in capsys.readouterr().err
