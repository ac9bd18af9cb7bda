"""The comparison of tracked runs: paired differences, what may not be ranked, and the page with the figures."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vaestudy.cli.main import main
from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import load_splits
from vaestudy.model.vae import VAE
from vaestudy.reporting.compare import paired
from vaestudy.reporting.compare.sides import Side
from vaestudy.run.execute import scored_images
from vaestudy.runtime import addresses
from vaestudy.scoring.score import image_scores, score
from vaestudy.tracking.load import load
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.stored_form import TAG


def runs(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Return the tracked runs, the newest last."""
    assert main(["runs", *arguments, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["runs"]
    return found


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return what the command prints for programs."""
    assert main(["compare", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def images_of(run_id: str, folder: Path) -> dict[str, torch.Tensor]:
    """Return the scores of each test image of a run, by another path than the comparison's."""
    model = load(run_id).vae
    x, _ = scored_images(model.config, load_splits(model.config, folder))
    return image_scores(model, x, (1, 3))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pixels": "dequantised"},
        {"pixels": "dequantised", "likelihood": "categorical-256"},
        {"pixels": "dequantised", "likelihood": "gaussian"},
    ],
)
def test_scores_of_images_have_the_recorded_means(changes: dict[str, Any], tiny: RunConfig) -> None:
    config = tiny.with_changes(**changes)
    torch.manual_seed(0)
    model, data = VAE(config), load_splits(config, Path())
    x, labels = scored_images(config, data)
    expected = score(model, x, labels, config.iwae).metrics
    found = image_scores(model, x, config.iwae)
    assert {"elbo", "kl", "log_likelihood", "iwae_5", "ess_5", "mse", "mae"} <= found.keys()
    assert ("bits_per_dim" in found) == ("pixels" in changes)
    assert {name for name in expected if f"{name}_se" in expected} <= found.keys()
    for name, values in found.items():
        assert values.shape == (len(x),)
        assert values.mean().item() == pytest.approx(expected[name], rel=1e-12)
        if f"{name}_se" in expected:
            assert values.std().item() / len(x) ** 0.5 == pytest.approx(expected[f"{name}_se"], rel=1e-9)


def test_the_difference_of_two_cells(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Against numpy: per seed and image, then the mean over seeds, then over images."""
    found = compared(capsys, "toy:latent_dim=2", "toy:latent-dim=3")
    by_cell = {(run["latent_dim"], run["seed"]): run["id"] for run in runs(capsys, "toy")}
    assert found["runs"][0]["run_ids"] == [by_cell[2, 0], by_cell[2, 1]]
    assert found["configuration"] == {"latent_dim": ["2", "3"]}
    for name in ("elbo", "kl", "iwae_3", "mse"):
        each = {cell: images_of(id, store)[name].double().numpy() for cell, id in by_cell.items()}
        difference = np.mean([each[3, seed] - each[2, seed] for seed in (0, 1)], axis=0)
        shown = found["scores"][name]["differences"][0]
        assert shown["value"] == pytest.approx(difference.mean(), rel=1e-9)
        assert shown["error"] == pytest.approx(difference.std(ddof=1) / len(difference) ** 0.5, rel=1e-9)
        seeds = [(each[3, seed] - each[2, seed]).mean() for seed in (0, 1)]
        half_width = 12.706204736 * abs(seeds[0] - seeds[1]) / 2  # Student's t for two values
        assert shown["over_seeds"] == pytest.approx(half_width, rel=1e-6)
    assert found["scores"]["active_units"]["differences"][0]["error"] is None
    assert found["notes"] == ["4 runs were scored again: all 36 scores agree with the record"]


def test_a_run_with_itself_differs_by_nothing(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The single run repeats one of the study's: every difference and every error is exactly 0."""
    study = next(run for run in runs(capsys, "toy") if (run["latent_dim"], run["seed"]) == (3, 0))
    single = runs(capsys, "train")[0]
    found = compared(capsys, study["id"][:12], single["id"][:12])
    differences = [row["differences"][0] for row in found["scores"].values()]
    assert len(differences) > 8
    assert {difference["value"] for difference in differences} == {0.0}
    assert {difference["error"] for difference in differences} == {0.0, None}
    assert set(found["configuration"]) <= {"figures"}


def test_what_may_not_be_ranked(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey, gaussian, categorical = [run["id"][:10] for run in runs(capsys, "train")]
    found = compared(capsys, grey, gaussian)
    assert all(row["differences"] == [None] for row in found["scores"].values())
    assert found["scores"]["elbo"]["values"][1] is not None
    (note,) = found["notes"]
    assert "in any score" in note
    assert "different pixel protocols: dequantised, grey" in note

    found = compared(capsys, gaussian, categorical)
    scores = found["scores"]
    for name in ("elbo", "kl", "iwae_3"):
        assert scores[name]["differences"] == [None]
    assert scores["bits_per_dim"]["differences"][0]["error"] > 0
    assert scores["mse"]["differences"][0]["error"] > 0
    assert any("nats of density and mass likelihoods" in note and "elbo" in note for note in found["notes"])


def test_a_score_that_differs_from_the_record_is_named(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = [run["id"] for run in runs(capsys, "toy")][:2]
    tracker = Tracker(addresses.tracking_uri(None))
    tracker.client.log_metric(one, "test/kl", 2.5)
    found = compared(capsys, one, other)
    (note,) = found["notes"]
    assert note.startswith(f"1 of 18 scores differ from the record: run {one[:8]}: kl is ")
    assert "2.5 on record" in note
    tracker.client.set_tag(one, TAG + "data.fingerprint", "0")
    tracker.client.set_tag(other, TAG + "data.fingerprint", "0")
    assert main(["compare", one, other]) == 2
    assert "was made from other images" in capsys.readouterr().err


class Images(HTMLParser):
    """The pictures and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    single = runs(capsys, "train")[0]["id"]
    assert main(["compare", "toy:latent_dim=2,seed=0", "toy:latent_dim=3", single]) == 0
    out = capsys.readouterr().out
    assert "Δ" in out
    file = Path(re.findall(r"^page +(.+)$", out, re.MULTILINE)[0])
    assert file.parent.parent == store / "compare"
    page = Images()
    page.feed(file.read_text(encoding="utf-8"))
    # reconstructions of all three, prior means of the two of the study
    assert len(page.images) == 5
    assert all(str(image["src"]).startswith("data:image/png;base64,iVBOR") for image in page.images)
    assert all(image["alt"] for image in page.images)
    assert "no such picture" in page.text
    assert "latent_dim" in page.text
    assert not re.search(r"<(script|link)(?! rel=\"icon\")", file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["toy:latent_dim=9", "toy:latent_dim=3"], ["'toy:latent_dim=9'", "latent_dim is 2, 3"]),
        (["toy:seed=0", "toy:latent_dim=3"], ["several cells", "latent_dim (2, 3)"]),
        (["toy:latent_dim=2,seed=0", "toy:latent_dim=3,seed=1"], ["no seed in common"]),
        (["toy/mnist:latent_dim=2", "toy:latent_dim=3"], ["'mnist'", "mnist-5k"]),
        (["toy:best", "toy:base"], ["compares no best configuration"]),
    ],
)
def test_what_cannot_be_compared(
    names: list[str], parts: list[str], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *names]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    for part in parts:
        assert part in err
    assert not (store / "compare").exists()


def test_one_image_has_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A standard error needs two images; the text leaves it out."""
    run = {"id": "a", "test/elbo": -1.0}
    sides = [Side("a", [run], False), Side("b", [run | {"id": "b", "test/elbo": -2.0}], False)]
    images = {"a": {"elbo": torch.tensor([-1.0])}, "b": {"elbo": torch.tensor([-2.0])}}
    difference = paired._difference("elbo", *sides, images)
    assert difference is not None
    assert difference.value == -1.0
    assert difference.error != difference.error
