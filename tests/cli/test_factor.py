"""Tests of `--factor FIELD=a,b`, which makes a field a factor of any study, and of several values for one field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.support.studies import recorded, run_study, searching, toy
from vaestudy.cli import commands
from vaestudy.errors import BadInput, similar_names
from vaestudy.runtime import addresses
from vaestudy.study.declaration import Study
from vaestudy.study.further_factors import baseline_levels, with_factors
from vaestudy.study.sweep import Sweep
from vaestudy.tracking.mlflow_tracker import Tracker


def run(study: Study, flags: str) -> int:
    """Run a study with flags; return the exit code."""
    return run_study(study, *flags.split())


def gridded() -> Study:
    """Return a study with a search beside factors."""
    return searching(factors={"latent_dim": (2, 3)}, baseline={"latent_dim": 2})


# Study, flags -> texts that the one line must contain: the value, and the limit or what to do.
BAD: list[tuple[Callable[..., Study], str, list[str]]] = [
    (toy, "--factor", ["--factor: must be FIELD=LEVEL,LEVEL, e.g. learning_rate"]),
    (toy, "--factor learning_rate", ["--factor learning_rate: must be FIELD=LEVEL,LEVEL"]),
    (toy, "--factor learning_rate=0.1 0.2", ["--factor 0.2: must be FIELD=LEVEL,LEVEL"]),
    (toy, "--factor learning_rate=", ["--factor learning_rate=: has no level"]),
    (toy, "--factor learning-rat=1,2", ["unknown field 'learning-rat' (did you mean 'learning_rate'?); --help"]),
    (toy, "--factor lr=1,2", ["(did you mean 'learning_rate', 'lr_scaling' or 'lr_drops'?)"]),
    (toy, "--factor dataset=mnist", ["--factor dataset: cannot be a factor", "one table cannot hold"]),
    (toy, "--factor seed=1,2", ["--factor seed: cannot be a factor"]),
    (toy, "--factor learning_rate=0.1,0", ["--factor learning_rate 0: must be a finite number, above 0"]),
    (toy, "--factor sigma=raw,row", ["--factor sigma: unknown sigma 'row' (did you mean 'raw'?)"]),
    (toy, "--factor hidden=16,8x", ["--factor hidden 8x: a level must be", "64x32"]),
    (toy, "--factor second_biases=maybe", ["--factor second_biases maybe: must be true or false"]),
    (toy, "--factor sigma=raw --factor sigma=abs", ["--factor sigma: is given twice"]),
    (toy, "--factor likelihood_scale=fixed,learned", ["--factor likelihood_scale fixed: bernoulli has no such option"]),
    (toy, "--factor likelihood_scale=per-pixel", ["likelihood_scale: bernoulli has no such option", "gaussian"]),
    (toy, "--factor likelihood=bernoulli,gaussian", ["--factor likelihood: nats of bernoulli and density"]),
    (toy, "--factor estimator=sgvb-b,score-function-loo", ["score-function-loo", "samples must be 2 or more"]),
    (toy, "--factor samples=1,2 --samples 3", ["--samples: not with --factor samples"]),
    (toy, "--factor latent_dim=4 --latent-dim 5", ["--latent-dim: not with --factor latent_dim"]),
    (toy, "--factor samples=1,2 --without samples", ["--without samples: not with --factor samples"]),
    (toy, "--factor learning_rate=1,2 --tune learning_rate", ["--tune learning_rate: not with --factor learning_rate"]),
    (toy, "--factor samples=1,2 --latent-dim 4 --without latent_dim", ["--latent-dim: not with --without latent_dim"]),
    (toy, "--factor samples=1,2 --minibatch 0", ["--minibatch 0", "1 or more"]),
    (toy, "--factor learning_rate=1,2 --seeds 9999", ["2 --latent-dim x 2 --learning-rate x 9,999 --seeds", "20,000"]),
    (searching, "--factor samples=1,2", ["samples: study toy-search has a search", "--samples sets one value"]),
    (gridded, "--factor samples=1,2", ["has a search", "the levels of these can be replaced: latent_dim"]),
    (gridded, "--factor latent_dim=0", ["--factor latent_dim 0", "1 or more"]),
    (toy, "--learning-rate 0.1,0.2", ["--learning-rate 0.1,0.2: one value here; as levels to compare: --factor "
                                      "learning_rate=0.1,0.2\n"]),
    (toy, "--learning-rate 0.1 0.2 0.3", ["--learning-rate 0.1 0.2 0.3: one value here", "learning_rate=0.1,0.2,0.3"]),
    (toy, "--sigma raw,abs", ["--sigma raw,abs: one value here", "--factor sigma=raw,abs"]),
    (toy, "--sigma raw,row", ["unknown sigma 'raw,row'"]),
    (toy, "--pixels grey binarised", ["--pixels grey binarised: one value here; it cannot be a factor: one table"]),
    (toy, "--workers 1 2", ["--workers 1 2: one value here\n"]),
    (searching, "--samples 1,2", ["--samples 1,2: one value here; a study with a search takes no further factors\n"]),
    (toy, "--seed 3", ["unknown flag '--seed' (did you mean '--seeds' or '--seeds-until'?); --help lists all"]),
]  # fmt: skip


@pytest.mark.parametrize(("study", "flags", "parts"), BAD)
def test_what_is_refused(
    study: Callable[..., Study], flags: str, parts: list[str], mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study(), flags) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    for part in parts:
        assert part in err
    assert not mlruns.exists()


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sweep, list[dict[str, object]]]]:
    """Return the sweeps that would be run, each with the levels of its cells. Nothing is run."""
    seen: list[tuple[Sweep, list[dict[str, object]]]] = []

    def run(sweep: Sweep, plan: object, *_: object) -> int:
        seen.append((sweep, [cell.levels for cell in plan.cells({})]))  # type: ignore[attr-defined]
        return 0

    monkeypatch.setattr(commands, "run_study", run)
    return seen


def test_a_further_factor_replaces_the_value_of_the_base(sweeps: list[tuple[Sweep, list[dict[str, object]]]]) -> None:
    flags = ["--factor", "learning-rate=0.01,0.1", "--factor", "hidden=16,8x4", "--seeds", "1", "--minibatch", "20"]
    assert run_study(toy(), *flags) == 0
    ((sweep, cells),) = sweeps
    expected = [
        {"latent_dim": D, "hidden": hidden, "learning_rate": rate}
        for D in (2, 3)
        for hidden in ((16,), (8, 4))
        for rate in (0.01, 0.1)
    ]
    assert sorted(map(repr, cells)) == sorted(map(repr, expected))
    assert list(sweep.study.factors) == ["latent_dim", "hidden", "learning_rate"]  # in the order of the fields
    # The base's (16,) is a level; its learning rate, 0.001, is none.
    assert sweep.study.baseline == {"latent_dim": 2, "hidden": (16,), "learning_rate": 0.01}
    assert sweep.base_name == "mnist-5k-minibatch=20-factor=hidden+learning_rate"
    assert sweep.base.minibatch == sweep.study.base.minibatch == 20


def test_a_cell_has_the_key_of_its_configuration() -> None:
    study = toy()
    levels = {"learning_rate": (1e-3, 0.01), "sigma": ("raw", "log-variance")}
    wide = with_factors(study, study.base.with_changes(**baseline_levels(study, levels)), levels)
    cells = wide.cells_to_run(wide.base, wide.levels_to_run(full=False, quick=False, given={}), 2)
    assert {cell.config.key for cell in cells} == {
        study.base.with_changes(latent_dim=D, learning_rate=rate, sigma=sigma, seed=seed).key
        for D in (2, 3)
        for rate in (1e-3, 0.01)
        for sigma in ("raw", "log-variance")
        for seed in (0, 1)
    }
    assert wide.baseline == {"latent_dim": 2, "learning_rate": 1e-3, "sigma": "log-variance"}
    assert Study.stored(wide.model_dump_json()) == wide
    with pytest.raises(BadInput, match="latent_dim: is a factor of study toy already"):
        with_factors(study, study.base, {"latent_dim": (4,)})


def test_the_levels_of_a_factor_are_replaced(sweeps: list[tuple[Sweep, list[dict[str, object]]]]) -> None:
    """As by the factor's own flag: the sweep is the study's own, and gets further cells."""
    assert run_study(toy(), "--factor", "latent_dim=7,4,7", "--seeds", "1", "--full") == 0
    assert run_study(toy(), "--latent-dim", "7", "4", "--seeds", "1", "--full") == 0
    assert run_study(gridded(), "--factor", "latent_dim=7,4", "--seeds", "1") == 0
    assert [cells for _, cells in sweeps] == [[{"latent_dim": 7}, {"latent_dim": 4}]] * 3
    assert {sweep.base_name for sweep, _ in sweeps} == {"mnist-5k"}
    assert sweeps[0][0].study == toy()


def test_other_flags_go_with_it(sweeps: list[tuple[Sweep, list[dict[str, object]]]]) -> None:
    many = "--factor minibatch=10,20,30 samples=1,2,5 --quick --seeds 1"
    assert run(toy(), many) == 0  # 18 combinations are more than --quick runs
    assert {cell["minibatch"] for cell in sweeps[-1][1]} == {10, 30}
    assert run(toy(), "--factor learning_rate=0.1,0.01 --tune minibatch --tune-budget 1") == 0
    tuned = sweeps[-1][0]
    assert tuned.base_name == "mnist-5k-factor=learning_rate-tune=minibatch"
    assert tuned.plain_name == "mnist-5k-factor=learning_rate"
    assert run(toy(), "--factor learning_rate=0.1,0.01 --without latent_dim") == 0
    assert sweeps[-1][1][:2] == [{"learning_rate": 0.1}, {"learning_rate": 0.01}]
    # What only the levels make valid: with one draw, the estimator is not defined.
    assert run(toy(), "--factor samples=2,5 --estimator score-function-loo") == 0
    gaussian = "--factor likelihood_scale=learned,fixed --likelihood gaussian"
    assert run(toy(base=toy().base.with_changes(pixels="dequantised")), gaussian) == 0
    assert {cell["likelihood_scale"] for cell in sweeps[-1][1]} == {"learned", "fixed"}


def test_a_sweep_with_a_further_factor(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its table and its figure have the factor, and a further level is added to it later."""
    command = ["--seeds", "1", "--latent-dim", "2", "--factor", "hidden=16,16x8", "--factor"]
    assert run_study(toy(), *command, "learning_rate=0.001,0.01") == 0
    assert run_study(toy(), *command, "learning_rate=0.02,0.001", "--plan") == 0
    assert "4 runs, 2 done, 2 to do" in capsys.readouterr().out
    assert run_study(toy(), *command, "learning_rate=0.02,0.001") == 0
    name = "mnist-5k-factor=hidden+learning_rate"
    runs, states = recorded(mlruns, name)
    assert states == ["COMPLETE"] * 6
    assert sorted(zip(runs["params.hidden"], runs["params.learning_rate"], strict=True)) == [
        (hidden, rate) for hidden in ("[16, 8]", "[16]") for rate in ("0.001", "0.01", "0.02")
    ]
    folder = mlruns / "tables" / "toy" / name
    table = pd.read_csv(folder / "table.csv")
    assert len(table) == 6
    assert table["learning_rate"].tolist() == [0.001, 0.01, 0.02] * 2
    assert table["test/elbo_diff"].isna().tolist() == [True] + [False] * 5  # none of the baseline to itself
    assert (
        "Δ: mean difference to latent_dim=2, hidden=16, learning_rate=0.001 at the same seed"
        in (folder / "table.md").read_text()
    )
    assert (folder / "bound_and_parts.png").exists()
    tracker = Tracker(addresses.tracking_uri(None))
    assert tracker.experiments().keys() >= {"toy"}
    assert run_study(toy(), "--seeds", "1", "--latent-dim", "2") == 0  # the study itself is another sweep
    assert len(recorded(mlruns)[0]) == 1


def test_similar_names() -> None:
    names = ["--latent-dim", "--learning-rate", "--lr-drops", "--minibatch", "--valid-size", "--sigma", "--init-sigma"]
    assert similar_names("--latentdim", names) == ["--latent-dim"]
    assert similar_names("--lr", names) == ["--learning-rate", "--lr-drops"]
    assert similar_names("--batch-size", names) == ["--minibatch", "--valid-size"]
    assert similar_names("--siqma", names) == ["--sigma"]
    assert similar_names("--mini", [*names, "--init"]) == ["--minibatch"]  # init is spelt more like it
    assert similar_names("--latnt", names) == ["--latent-dim"]
    assert similar_names("--lrate", names)[0] == "--learning-rate"
    assert similar_names("", names) == similar_names("--qqq", names) == []
    assert similar_names("--mini", [f"--mini-{letter}" for letter in "abcde"], most=2) == ["--mini-a", "--mini-b"]
