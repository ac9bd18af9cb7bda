"""Test which generation of a sweep a command runs, among those that earlier revisions recorded under one name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.studies import recorded, run_study, toy
from vaestudy.errors import BadInput
from vaestudy.study.sweep import Sweep
from vaestudy.sweep.generations import locked_generation
from vaestudy.sweep.trial_storage import JournalTrialStorage

A, B, C = 0.0012345671, 0.0012345679, 0.00123457  # six digits of the first two are the third
FORMER = "mnist-5k-learning_rate=0.00123457"


def sweep(*flags: tuple[str, Any]) -> Sweep:
    """Return a sweep with fields that were set on the command line, in this order."""
    changed = dict(flags)
    return Sweep(toy(), toy().base.with_changes(**changed), changed, quick=False, note=None)


class Recorded:
    """Sweeps that were recorded: their trials in a folder of journals, their base configurations in the tracker."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.storage, self.bases, self.answers = JournalTrialStorage(folder / "toy"), {}, True
        known = "vaestudy.sweep.generations.recorded_bases"
        monkeypatch.setattr(known, lambda uri, study, report: (self.bases if self.answers else {}, self.answers))

    def add(self, name: str, swept: Sweep) -> None:
        """Record a sweep under a name."""
        (self.storage.folder / f"{name}.journal").touch()
        self.bases[name] = swept.base.model_dump(mode="json")

    def name(self, swept: Sweep, fresh: bool = False) -> str:
        """Return the name of the generation that a command of this sweep runs."""
        with locked_generation(self.storage, swept, "", fresh, print) as name:
            return name


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Return a place without any sweep."""
    return Recorded(tmp_path, monkeypatch)


def test_two_sweeps_that_had_one_name(stored: Recorded) -> None:
    """Each is resumed under the generation that has its base; nobody gets the other one's runs."""
    a, b, c = (sweep(("learning_rate", rate)) for rate in (A, B, C))
    assert [s.former_name for s in (a, b, c)] == [FORMER] * 3
    stored.add(FORMER, a)
    assert stored.name(a) == FORMER
    assert stored.name(b) == "mnist-5k-learning_rate=0.0012345679"
    assert stored.name(c) == f"{FORMER}~2"
    stored.add(f"{FORMER}~2", b)  # as `--fresh` did after «another declaration»
    assert stored.name(a) == FORMER
    assert stored.name(b) == f"{FORMER}~2"
    assert stored.name(a, fresh=True) == f"{FORMER}~3"
    stored.add(f"{FORMER}~3", a)
    assert [stored.name(a), stored.name(b), stored.name(c)] == [f"{FORMER}~3", f"{FORMER}~2", f"{FORMER}~4"]


def test_the_order_of_the_flags(stored: Recorded) -> None:
    one = sweep(("epochs", 2), ("latent_dim", 2))
    other = sweep(("latent_dim", 2), ("epochs", 2))
    assert stored.name(one) == stored.name(other) == "mnist-5k-latent_dim=2-epochs=2"
    stored.add("mnist-5k-epochs=2-latent_dim=2", one)
    assert stored.name(one) == "mnist-5k-epochs=2-latent_dim=2"


def test_a_list_of_flags_that_was_cut(stored: Recorded) -> None:
    many = ("iwae", tuple(range(1, 60)))
    short, long = sweep(many, ("epochs", 2)), sweep(many, ("epochs", 3))
    assert short.former_name == long.former_name
    stored.add(short.former_name, short)
    assert stored.name(short) == short.former_name
    assert stored.name(long) == long.base_name != short.base_name


def test_a_changed_declaration_is_no_other_sweep(stored: Recorded) -> None:
    """The publisher says what differs; a new generation would hide it."""
    before = sweep(("epochs", 2))
    stored.add("mnist-5k-epochs=2", before)
    base = before.base.with_changes(hidden=(17,))
    assert stored.name(Sweep(toy(base=base), base, {"epochs": 2}, quick=False, note=None)) == "mnist-5k-epochs=2"


def test_the_tracker_does_not_answer(stored: Recorded) -> None:
    stored.add(FORMER, sweep(("learning_rate", A)))
    stored.answers = False
    with pytest.raises(BadInput, match=rf"sweep {FORMER} may be this one .* does not answer"):
        stored.name(sweep(("learning_rate", B)))
    assert stored.name(sweep(("learning_rate", C))) == FORMER


def test_the_former_name_is_locked_too(stored: Recorded) -> None:
    a = sweep(("learning_rate", A))
    stored.add(FORMER, a)
    with stored.storage.locked(FORMER), pytest.raises(BadInput, match="is being run by"):
        stored.name(a)


def test_names_of_other_files_are_no_generations(stored: Recorded) -> None:
    for name in ("mnist-5k~old", "mnist-5k~2-copy", "mnist-5k-x"):
        (stored.storage.folder / f"{name}.journal").touch()
    assert stored.name(sweep()) == "mnist-5k"


def test_a_sweep_of_an_earlier_revision_is_resumed(
    mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command finds the runs that were recorded under the rounded name; the one it collided with does not."""
    flags = ["--seeds", "1", "--latent-dim", "2", "--learning-rate"]
    with monkeypatch.context() as earlier:
        earlier.setattr(Sweep, "base_name", Sweep.former_name)
        assert run_study(toy(), *flags, str(A)) == 0
    capsys.readouterr()
    assert run_study(toy(), *flags, str(A)) == 0
    assert "1 runs, 1 done" in capsys.readouterr().err
    assert run_study(toy(), *flags, str(B)) == 0
    assert "1 runs, 0 done" in capsys.readouterr().err
    for name, rate in ((FORMER, A), ("mnist-5k-learning_rate=0.0012345679", B)):
        children, states = recorded(mlruns, name)
        assert (children["params.learning_rate"].astype(float) == rate).tolist() == [True]
        assert states == ["COMPLETE"]
