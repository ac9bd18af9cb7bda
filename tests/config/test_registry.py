"""Tests of the registries: they import nothing slow, each name has code, and parts from outside can be registered."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.studies import toy
from vaestudy.cli.main import main
from vaestudy.config import registry
from vaestudy.config.registry import ARCHITECTURES, DATASETS, LIKELIHOODS, LikelihoodSpec, Registry
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.model.likelihoods.bernoulli import Bernoulli
from vaestudy.model.vae import VAE
from vaestudy.run.execute import execute
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.score import image_scores, score
from vaestudy.study.metrics import is_metric

KEY_OF_DEFAULTS = "826c69d816dfde64"
"""The key of the default configuration in a revision without the field `architecture`."""

REGISTRIES = {name: value for name, value in vars(registry).items() if isinstance(value, Registry)}


class Inverted(Bernoulli):
    """A likelihood as a user would define it: the Bernoulli of 1 - x."""

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        return super().log_prob(1 - x, head, log_guard)


@pytest.fixture
def inverted(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Register the likelihood `Inverted` for one test and return its name."""
    spec = LikelihoodSpec("inverted", Inverted, family="bernoulli", support="{0, 1}", refusals={"grey": "not binary"})
    monkeypatch.setattr(LIKELIHOODS, "_specs", {name: LIKELIHOODS[name] for name in LIKELIHOODS})
    monkeypatch.setattr(LIKELIHOODS, "_origins", {})
    LIKELIHOODS.register(spec)
    return spec.name


@pytest.mark.parametrize("name", REGISTRIES)
def test_every_name_leads_to_code(name: str) -> None:
    table = REGISTRIES[name]
    assert len(table) >= 2
    for member in table:
        assert table[member].name == member
        assert table.load(member) is not None
    with pytest.raises(KeyError, match=f"unknown {table.kind} 'nothing'"):
        table["nothing"]


def test_tables_import_nothing_slow() -> None:
    code = (
        "import sys\nfrom vaestudy.config import registry\n"
        f"for name in {list(REGISTRIES)!r}: list(getattr(registry, name).values())\n"
        "print(*{'torch', 'numpy', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_likelihood_from_outside_trains_and_is_known_to_flags_and_messages(
    inverted: str, tiny: RunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny.with_changes(likelihood=inverted, pixels="binarised", epochs=1)
    assert execute(config, Path()).metrics["test/elbo"] < 0
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "inverted" in " ".join(capsys.readouterr().out.split())
    assert main(["train", "--likelihood", inverted]) == 2
    assert "--pixels grey: not for inverted: not binary" in capsys.readouterr().err


class Sharp(Bernoulli):
    """A likelihood with a score of its own: the mean distance of E[x|z] from 1/2."""

    def scores(self, x: Tensor, head: Tensor) -> dict[str, Tensor]:
        return {"sharpness": (self.mean(head) - 0.5).abs().mean(-1)}


def test_a_likelihoods_own_score_is_recorded_and_known(inverted: str, tiny: RunConfig) -> None:
    """The record has the mean over images of what a comparison computes for each image; others are refused."""
    assert not is_metric("test/own/sharpness")
    LIKELIHOODS.register(LikelihoodSpec("sharp", Sharp, family="bernoulli", support="{0, 1}", metrics=("sharpness",)))
    assert is_metric("test/own/sharpness")
    assert not is_metric("test/own/sharpnes")
    assert toy(tabulate=("test/own/sharpness",)).tabulate == ("test/own/sharpness",)
    config = tiny.with_changes(likelihood="sharp", epochs=1)
    recorded = execute(config, Path()).metrics
    assert 0 < recorded["test/own/sharpness"] < 0.5
    model = VAE(config)
    x = torch.rand(7, 784, generator=stream("test"))
    found = image_scores(model, x, ())["own/sharpness"]
    assert found.shape == (7,)
    assert score(model, x, None, ()).metrics["own/sharpness"] == pytest.approx(found.mean().item(), rel=1e-12)
    assert "test/own/sharpness" not in execute(config.with_changes(likelihood="bernoulli"), Path()).metrics


def test_an_inherited_class_keeps_its_own_declaration(inverted: str) -> None:
    assert set(LIKELIHOODS[inverted].refusals) == {"grey"}
    assert not LIKELIHOODS["bernoulli"].refusals


def test_a_name_is_declared_once(inverted: str) -> None:
    with pytest.raises(BadInput, match="likelihood 'beta' is declared already, by vaestudy"):
        LIKELIHOODS.part("beta")(Inverted)
    LIKELIHOODS.part("twice")(Inverted)
    LIKELIHOODS.part("twice", family="bernoulli")(Inverted)  # the same file, imported anew
    assert LIKELIHOODS["twice"].family == "bernoulli"
    assert LIKELIHOODS.origin("twice") == Path(__file__).resolve()
    with pytest.raises(BadInput, match=r"'twice' is declared already, by .*test_registry.py"):
        LIKELIHOODS.register(LikelihoodSpec("twice", Inverted), Path("other.py"))


@pytest.mark.parametrize("name", ["", "Big", "two words", "a/b", "1st", "../x"])
def test_a_name_fits_into_flags_and_files(name: str, inverted: str) -> None:
    with pytest.raises(BadInput, match="a name has small letters"):
        LIKELIHOODS.part(name)(Inverted)


def test_a_field_that_the_kind_does_not_have(inverted: str) -> None:
    with pytest.raises(BadInput, match=r"unknown field of a likelihood 'famly'.*did you mean 'family'"):
        LIKELIHOODS.part("new", famly="density")


def test_a_field_without_meaning_for_an_architecture_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ARCHITECTURES, "_specs", dict(ARCHITECTURES))
    why = {"hidden": "its widths are fixed", "second_biases": "it has no biases"}
    ARCHITECTURES.register(dataclasses.replace(ARCHITECTURES["mlp"], name="fixed", refusals=why))
    assert RunConfig(architecture="fixed").architecture == "fixed"
    assert main(["train", "--architecture", "fixed", "--hidden", "32", "16"]) == 2
    assert "--hidden 32 16: not for --architecture fixed: its widths are fixed" in capsys.readouterr().err
    with pytest.raises(BadInput, match="second_biases True: not for architecture fixed: it has no biases"):
        RunConfig().with_changes(architecture="fixed", second_biases=True)


def test_an_architecture_is_a_factor_and_leaves_the_keys_of_earlier_runs() -> None:
    study = toy(factors={"architecture": ("mlp", "conv")}, full={}, baseline={"architecture": "mlp"}, seeds=1)
    mlp, conv = (cell.config for cell in study.cells_to_run(study.base, study.factors, 1))
    assert (mlp.architecture, conv.architecture) == ("mlp", "conv")
    assert conv.key != mlp.key == conv.with_changes(architecture="mlp").key
    assert RunConfig().key == KEY_OF_DEFAULTS


@pytest.mark.parametrize("name", ["mnist-5k"])
def test_a_data_sets_declared_size_is_its_size(name: str) -> None:
    train, _ = DATASETS.load(name).read(Path())
    assert len(train) == DATASETS[name].train_size
