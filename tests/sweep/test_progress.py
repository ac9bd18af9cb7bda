"""Test the progress display of a sweep."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from tests.support.studies import toy
from vaestudy.run.record import EpochEnd, Record, RunEnd
from vaestudy.study import declaration, sweep
from vaestudy.sweep.progress import ProgressDisplay


@pytest.mark.parametrize(("likelihoods", "ranked"), [(("bernoulli",), True), (("bernoulli", "beta"), False)])
def test_a_best_so_far_only_where_there_is_one(likelihoods: tuple[str, ...], ranked: bool) -> None:
    """Nats of a Bernoulli and of a density have no common zero, so among runs of both there is no best one."""
    study = toy(base=toy().base.with_changes(pixels="dequantised"), factors={"likelihood": likelihoods}, full={},
                baseline={"likelihood": "bernoulli"}, tabulate=("test/bits_per_dim",))  # fmt: skip
    (cell, *_) = declaration.make_cells(study.base, study.factors, 1)
    bar = Progress(disable=True)
    display = ProgressDisplay(bar, [cell], sweep.Sweep(study, study.base, {}, quick=False, note=None))
    metrics = {"test/elbo": -1.0, "test/bits_per_dim": 2.0, "test/bits_per_dim_se": 0.01, "seconds/total": 1.0}
    history = [{"train/elbo": -2.0}]
    display.begin(cell)
    display.epoch(EpochEnd(cell.config.key, 1, history[0]))
    assert (bar.tasks[1].fields["shown"] == "train/elbo -2.00") == ranked
    line = display.end(RunEnd(cell.config.key, Record(cell.config, metrics, history, [], {}, {}, {})))
    assert "test/bits_per_dim     2.000 ± 0.010" in line
    assert "elbo" not in line
    assert ("best train/elbo -2.00" in bar.tasks[0].fields["shown"]) == ranked


def test_a_notice_is_told_once() -> None:
    study = toy()
    two = declaration.make_cells(study.base, study.factors, 1)[:2]
    display = ProgressDisplay(Progress(disable=True), two, sweep.Sweep(study, study.base, {}, quick=False, note=None))
    metrics, history = {"test/elbo": -1.0, "test/elbo_se": 0.1, "seconds/total": 1.0}, [{"train/elbo": -2.0}]
    lines = []
    for cell, notices in zip(two, [("odd",), ("odd", "odder")], strict=True):
        display.begin(cell)
        record = Record(cell.config, metrics, history, [], {}, {}, {}, notices=notices)
        lines.append(display.end(RunEnd(cell.config.key, record)).splitlines())
    assert [line[1:] for line in lines] == [["odd"], ["odder"]]
