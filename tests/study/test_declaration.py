"""Test the declaration of a study: its cells, its levels, and declarations that are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.studies import by_likelihood, recorded, run_study, toy
from vaestudy.errors import BadInput
from vaestudy.runtime.project import repository
from vaestudy.study import declaration, discovery
from vaestudy.study.declaration import Study


class TestDesign:
    def test_cells_are_the_product_with_seeds_outermost(self) -> None:
        study = toy()
        cells = declaration.make_cells(study.base, study.levels_to_run(full=True, quick=False, given={}), 2)
        assert [(c.levels["latent_dim"], c.config.seed) for c in cells] == [(D, s) for s in (0, 1) for D in (2, 3, 5)]
        assert len({c.config.key for c in cells}) == 6

    def test_quick_keeps_few_cells(self) -> None:
        study = toy(factors={"latent_dim": (1, 2, 3, 4, 5), "samples": (1, 2, 3)}, full={},
                    baseline={"latent_dim": 1, "samples": 1})  # fmt: skip
        levels = study.levels_to_run(full=False, quick=True, given={})
        assert levels == {"latent_dim": (1, 5), "samples": (1, 3)}

    def test_what_is_left_out(self) -> None:
        study = toy(factors={"estimator": ("sgvb-b", "score-function-loo"), "samples": (1, 2)}, full={},
                    leave_out=({"estimator": "score-function-loo", "samples": 1},),
                    baseline={"estimator": "sgvb-b", "samples": 1})  # fmt: skip
        levels = study.levels_to_run(full=False, quick=False, given={})
        found = {(c.levels["estimator"], c.levels["samples"]) for c in study.cells_to_run(study.base, levels, 2)}
        assert found == {("sgvb-b", 1), ("sgvb-b", 2), ("score-function-loo", 2)}
        alone = {"estimator": ("score-function-loo",), "samples": (1,)}
        with pytest.raises(BadInput, match=r"no cell is left: .*estimator=score-function-loo, samples=1"):
            study.cells_to_run(study.base, alone, 2)

    def test_a_level_may_be_undefined_with_the_base(self, mlruns: Path) -> None:
        study = toy(factors={"estimator": ("sgvb-b", "score-function-loo"), "samples": (1, 2)}, full={},
                    leave_out=({"estimator": "score-function-loo", "samples": 1},),
                    baseline={"estimator": "sgvb-b", "samples": 1})  # fmt: skip
        assert run_study(study, "--estimator", "score-function-loo", "--samples", "1", "2", "--seeds", "1") == 0
        children, _ = recorded(mlruns)
        assert children["params.samples"].tolist() == ["2"]

    def test_quick_keeps_the_baseline(self) -> None:
        study = toy(factors={"latent_dim": (1, 2, 3, 4, 5), "samples": (1, 2, 3)}, full={},
                    baseline={"latent_dim": 3, "samples": 1})  # fmt: skip
        assert study.levels_to_run(full=False, quick=True, given={}) == {"latent_dim": (1, 3, 5), "samples": (1, 3)}

    def test_given_levels(self) -> None:
        assert toy().levels_to_run(full=False, quick=False, given={"latent_dim": (7,)}) == {"latent_dim": (7,)}

    def test_every_study_file_says_its_question_and_minutes(self) -> None:
        found = discovery.study_files(repository() / "studies")
        assert [s.name for s in found]
        for study in found:
            assert study.question.endswith("?")
            assert study.minutes != "?"

    def test_find(self) -> None:
        assert discovery.find_study(repository() / "studies", "latent_dims").name == "latent-dims"
        with pytest.raises(BadInput, match="did you mean 'latent-dims'"):
            discovery.find_study(repository() / "studies", "latent-dim")

    def test_a_file_with_a_mistake_does_not_hide_the_others(self, tmp_path: Path) -> None:
        contents = {
            "sound": b'"""Is it sound?"""',
            "unfinished": b'"""Is it?"""\ndef (',
            "latin": b'"""\xff?"""',
            "null": b"\0",
        }
        for name, content in contents.items():
            (tmp_path / f"{name}.py").write_bytes(content)
        (tmp_path / "folder.py").mkdir()
        found = {study.name: study.question for study in discovery.study_files(tmp_path)}
        assert set(found) == set(contents)
        assert found["sound"] == "Is it sound?"
        assert found["unfinished"] == "cannot be read: line 2: invalid syntax"
        assert all(found[name].startswith("cannot be read: ") for name in ("latin", "null"))


def test_a_likelihood_is_crossed_with_its_own_options_alone() -> None:
    study = by_likelihood()
    cells = declaration.make_cells(study.base, study.levels_to_run(full=True, quick=False, given={}), 1)
    arms = [(c.config.likelihood, c.config.likelihood_scale) for c in cells]
    assert arms == [
        ("bernoulli", "per-pixel"),
        ("gaussian", "per-pixel"),
        ("gaussian", "optimal"),
        ("discretised-logistic", "per-pixel"),
    ]


def test_a_study_that_would_mix_kinds_of_nats_cannot_be_declared() -> None:
    for metric in ("test/elbo", "valid/elbo", "test/iwae_3", "test/continuous_bernoulli_iwae_3"):
        with pytest.raises(BadInput, match="nats of bernoulli and density and mass likelihoods"):
            by_likelihood(tabulate=("test/bits_per_dim", metric))
    toy(factors={"likelihood": ("gaussian", "beta")}, full={}, baseline={"likelihood": "beta"})


SAMPLES = {"estimator": ("sgvb-b", "score-function-loo"), "samples": (1, 2)}


class NoDimension:
    """Stands for a numpy array of no dimension: it has `__iter__`, and no items."""

    def __iter__(self) -> Iterator[int]:
        raise TypeError("iteration over a 0-d array")

    def __repr__(self) -> str:
        return "NoDimension()"


# Changes of a good declaration -> texts that the one line must contain: the value, and the limit or the valid choices.
WRONG: list[tuple[dict, list[str]]] = [
    ({"name": "../up"}, ["name '../up'", "lower-case letters, digits and hyphens"]),
    ({"name": "n" * 81}, ["name", "at most 80"]),
    ({"name": "train"}, ["name train", "choose another"]),
    ({"doc": " "}, ["doc", "question"]),
    ({"doc": None}, ["doc", "no docstring", "question"]),
    ({"doc": "Is \ud800 text?"}, ["doc", "half of a character"]),
    ({"bse": 1}, ["'bse'", "did you mean 'base'"]),
    ({"seeds": "two"}, ["seeds 'two'", "whole number"]),
    ({"seeds": 0}, ["seeds 0", "greater than or equal to 1"]),
    ({"figures": ("bound_and_part",)}, ["'bound_and_part'", "did you mean 'bound_and_parts'"]),
    ({"tables": ("noisy",)}, ["'noisy'", "choose from", "pareto"]),
    ({"tabulate": ()}, ["tabulate ()", "at least 1"]),
    ({"tabulate": ("test/elbwo",)}, ["'test/elbwo'", "did you mean 'test/elbo'", "test/kl"]),
    ({"tabulate": ("test/iwae_x",)}, ["'test/iwae_x'", "did you mean 'test/iwae_<K>'"]),
    ({"factors": {}, "full": {}, "baseline": {}}, ["factors", "give one or more"]),
    ({"factors": {"nope": (1,)}}, ["factor 'nope'", "latent_dim"]),
    ({"factors": {"seed": (1, 2)}}, ["seed cannot be a factor", "seeds=N"]),
    ({"factors": {"dataset": ("mnist",)}}, ["dataset cannot be a factor", "one table"]),
    ({"factors": {"latent_dim": ()}}, ["latent_dim", "no level"]),
    ({"factors": {"latent_dim": 2}}, ["latent_dim", "(2, 10)", "not 2"]),
    ({"factors": {"latent_dim": (2, 3 + 0j)}}, ["latent_dim", "3+0j", "whole number"]),
    ({"factors": {"latent_dim": NoDimension()}}, ["latent_dim", "(2, 10)", "not NoDimension()"]),
    ({"factors": {"sigma": "raw"}}, ["sigma", "must be a tuple", "'raw'"]),
    ({"factors": {"latent_dim": (2, -1)}}, ["latent_dim -1", "1 or more"]),
    ({"factors": {"latent_dim": (2, 2.5)}}, ["latent_dim 2.5", "a whole number"]),
    ({"factors": {"latent_dim": (2, True)}}, ["latent_dim True", "a whole number"]),
    ({"factors": {"epochs": (None, 2)}}, ["epochs None", "a whole number"]),
    ({"factors": {"sigma": ("raw", "row")}}, ["'row'", "did you mean 'raw'"]),
    ({"factors": {"hidden": ((16,), ())}}, ["hidden []", "one or more"]),
    ({"factors": {"learning_rate": ({}, 1e-3)}}, ["learning_rate {}", "a finite number"]),
    ({"factors": {"learning_rate": (float("nan"),)}}, ["learning_rate NaN", "a finite number"]),
    ({"factors": {"latent_dim": (2, 2)}}, ["latent_dim", "2 is given twice"]),
    ({"factors": {"learning_rate": (1, 1.0)}, "full": {}, "baseline": {"learning_rate": 1}}, ["1 is given twice"]),
    ({"full": {"latent_dim": (3,)}}, ["latent_dim", "3 is given twice", "2, 3"]),
    ({"full": {"samples": (3,)}}, ["full", "factor 'samples'", "choose from: latent_dim"]),
    ({"baseline": {}}, ["baseline", "no level of latent_dim", "2, 3"]),
    ({"baseline": {"latent_dim": 7}}, ["baseline latent_dim=7", "choose from: 2, 3"]),
    ({"baseline": {"latent_dim": 5}}, ["baseline latent_dim=5", "--full", "choose from: 2, 3"]),
    ({"baseline": {"latent_dim": 0}}, ["baseline: latent_dim 0", "1 or more"]),
    ({"leave_out": ({"nope": 1},)}, ["factor 'nope'"]),
    ({"leave_out": ({"latent_dim": 4},)}, ["leave_out latent_dim=4", "choose from: 2, 3, 5"]),
    ({"leave_out": ({},)}, ["leave_out", "every cell"]),
    ({"leave_out": ({"latent_dim": 2},)}, ["baseline latent_dim=2", "leave_out leaves this cell out"]),
    (
        {"factors": {"decoder_sigma": ("raw",)}, "full": {}, "baseline": {"decoder_sigma": "raw"}},
        ["baseline decoder_sigma=raw", "bernoulli has no such option", "log-variance"],
    ),
    ({"gallery": "manifoldd"}, ["'manifoldd'", "did you mean 'manifold'"]),
    ({"gallery": "manifold"}, ["gallery manifold", "no run draws it"]),
]


@pytest.mark.parametrize(("changes", "parts"), WRONG)
def test_a_wrong_declaration_is_refused_in_one_line(changes: dict, parts: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        toy(**changes)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(BadInput, match=r"^doc: is missing$"):
        Study(name="toy", base=toy().base, factors=toy().factors, baseline=toy().baseline)  # type: ignore[call-arg]


def test_levels_have_the_type_of_their_field() -> None:
    import numpy as np

    levels = {"learning_rate": (1e-3, 1, np.float64(0.5)), "latent_dim": (2, np.int64(3)), "hidden": ([16], (24, 8))}
    study = toy(factors=levels, full={}, baseline={"learning_rate": 1, "latent_dim": np.int64(2), "hidden": [16]})
    assert repr(study.factors["learning_rate"][:2]) == "(0.001, 1.0)"
    assert {type(level) for level in study.factors["learning_rate"]} <= {float, np.float64}
    assert repr(study.factors["latent_dim"]) == "(2, 3)"
    assert study.factors["hidden"] == ((16,), (24, 8))
    assert repr(study.baseline) == "{'learning_rate': 1.0, 'latent_dim': 2, 'hidden': (16,)}"


def test_a_recorded_declaration_stays_readable() -> None:
    """Earlier revisions accepted more; their results are still delivered and tabulated."""
    before = toy().model_copy(
        update={
            "baseline": {"latent_dim": 7},
            "tabulate": ("test/elbwo",),
            "doc": "",
            "factors": {"latent_dim": (2, 2)},
        }
    )
    assert Study.stored(before.model_dump_json()) == Study.stored(before.model_dump(mode="json")) == before
    assert before.question == "toy"


MINE = """
from vaestudy import RunConfig, Study, study_main

BASE = RunConfig({base})
LEVELS = {{"latent_dim": (2, 3)}}
STUDY = Study(name="mine", doc="Does it?", base=BASE, factors=LEVELS, baseline={{"latent_dim": {level}}})
{rest}
if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
"""


@pytest.mark.parametrize(
    ("base", "level", "rest", "line"),
    [
        ("", "7", "", "mine.py: baseline latent_dim=7: not a level; choose from: 2, 3\n"),
        ("latent_dim=0", "2", "", "mine.py: latent_dim 0: must be a whole number, 1 or more, 2,147,483,647 or less\n"),
        ("", "2", "1 / 0", None),
    ],
)
def test_a_mistake_in_a_study_file(tmp_path: Path, mlruns: Path, base: str, level: str, rest: str, line: str) -> None:
    """It is one line and exit code 2; an error of another kind keeps its traceback."""
    (tmp_path / "mine.py").write_text(MINE.format(base=base, level=level, rest=rest))
    env = os.environ | {"PYTHONPATH": str(repository())}
    command = [sys.executable, str(tmp_path / "mine.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.stdout == ""
    assert not mlruns.exists()
    if line is None:
        assert done.returncode == 1
        assert "Traceback" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (2, line)


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ("--hidden 16,8", ["--hidden 16,8", "16x8 for one level", "16 8 for several"]),
        ("--hidden 16x", ["--hidden 16x", "a whole number, 1 or more", "64x32"]),
        ("--hidden 0", ["--hidden 0", "1 or more"]),
    ],
)
def test_levels_that_are_lists_on_the_command_line(
    flags: str, parts: list[str], capsys: pytest.CaptureFixture[str], mlruns: Path
) -> None:
    study = toy(factors={"hidden": ((16,), (16, 8))}, full={}, baseline={"hidden": (16,)})
    assert run_study(study, *flags.split()) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    assert not mlruns.exists()


def test_levels_that_are_lists_are_extended(mlruns: Path) -> None:
    study = toy(factors={"hidden": ((16,), (16, 8))}, full={}, baseline={"hidden": (16,)}, seeds=1)
    assert run_study(study, "--hidden", "16") == 0
    assert run_study(study, "--hidden", "24", "24x8") == 0
    children, states = recorded(mlruns)
    assert sorted(children["params.hidden"]) == ["[16]", "[24, 8]", "[24]"]
    assert states == ["COMPLETE"] * 3
