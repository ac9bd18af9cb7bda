"""What the classes say, against slow literal twins; the reader; the study's tables and pictures."""

from __future__ import annotations

import io
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import image
from reference import literal_decode, literal_posterior, small_vae
from test_study import toy

from vaestudy.cli import main
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.reporting.figures import bound
from vaestudy.reporting.tables import classes, cost
from vaestudy.run import execute
from vaestudy.run.figures import to_png
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring import class_probe
from vaestudy.study.declaration import Study

N = 60


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(N, 784, generator=stream("images"), dtype=torch.float64)


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.arange(N) % 10


def by_first_pixel(x: torch.Tensor) -> torch.Tensor:
    """A reader whose answer can be worked out: class 3 with the probability of the first pixel, else class 7."""
    p = x[:, :1].clamp(1e-6, 1 - 1e-6)
    rest = torch.full((len(x), 10), -1e9, dtype=x.dtype)
    rest[:, 3:4], rest[:, 7:8] = p.log(), (1 - p).log()
    return rest


def test_against_a_literal_twin(images: torch.Tensor, labels: torch.Tensor) -> None:
    """Image by image, with the same draws."""
    model = small_vae()
    metrics, per_class = class_probe.class_scores(model, images, labels, by_first_pixel)
    mu, sigma, _ = literal_posterior(model, images)
    eps = torch.randn((1, *mu.shape), generator=stream("score", "classes", "reconstruction", 0))[0].double()
    back = literal_decode(model, mu + sigma * eps).sigmoid().detach()
    generator = stream("score", "classes", "prior")
    z = torch.randn((2_000, mu.shape[1]), generator=generator, dtype=torch.float64)
    pictures = {"data": images, "reconstruction": back, "prior": literal_decode(model, z).sigmoid()}
    for kind, shown in pictures.items():
        entropy, unclear, grey = [], [], []
        for picture in shown.tolist():
            p = picture[0]
            entropy.append(-p * math.log(p) - (1 - p) * math.log(1 - p))
            unclear.append(max(p, 1 - p) < 0.9)
            grey.append(sum(4 * m * (1 - m) for m in picture) / 784)
        assert metrics[f"class_entropy_{kind}"] == pytest.approx(np.mean(entropy), rel=1e-5)
        assert metrics[f"unclear_{kind}"] == pytest.approx(np.mean(unclear))
        assert metrics[f"greyness_{kind}"] == pytest.approx(np.mean(grey), rel=1e-5)
        assert metrics[f"greyness_{kind}_se"] == pytest.approx(np.std(grey, ddof=1) / math.sqrt(len(grey)), rel=1e-4)
    for kind in ("data", "reconstruction"):
        right = [(3 if picture[0] > 0.5 else 7) == label for picture, label in zip(pictures[kind], labels, strict=True)]
        assert metrics[f"recognised_{kind}"] == pytest.approx(np.mean(right))
        mine = [hit for hit, label in zip(right, labels, strict=True) if label == 3]
        assert per_class["3"][f"recognised_{kind}"] == pytest.approx(np.mean(mine))
    errors = [float(((x - m) ** 2).sum() / (x**2).sum()) for x, m in zip(images, back, strict=True)]
    assert metrics["relative_error"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_neighbours_against_a_literal_twin(labels: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point by point, by sorting; in one block and in several."""
    points = torch.randn(N, 3, generator=stream("points"), dtype=torch.float64)
    wanted = []
    for i in range(N):
        others = sorted((j for j in range(N) if j != i), key=lambda j, i=i: math.dist(points[i], points[j]))[:10]
        wanted.append([sum(int(labels[j]) == c for j in others) / 10 for c in range(10)])
    assert class_probe.neighbour_shares(points, labels).tolist() == wanted
    monkeypatch.setattr(class_probe, "BLOCK", 7)
    assert class_probe.neighbour_shares(points, labels).tolist() == wanted


def test_few_points_have_few_neighbours() -> None:
    points = torch.tensor([[0.0, 0], [1, 0], [3, 0]], dtype=torch.float64)
    shares = class_probe.neighbour_shares(points, torch.tensor([0, 1, 1]))
    assert shares[:, :2].tolist() == [[0, 1], [0.5, 0.5], [0.5, 0.5]]
    assert class_probe.neighbour_shares(points[:1], torch.tensor([0])).isnan().all()


def test_classes_average_to_the_whole(images: torch.Tensor, labels: torch.Tensor) -> None:
    metrics, per_class = class_probe.class_scores(small_vae(), images, labels, by_first_pixel)
    for name in ("relative_error", "recognised_reconstruction", "neighbour_purity"):
        assert np.mean([row[name] for row in per_class.values()]) == pytest.approx(metrics[name])
    for label, row in per_class.items():
        assert sum(row[f"neighbours_{other}"] for other in range(10)) == pytest.approx(1)
        assert row[f"neighbours_{label}"] == pytest.approx(row["neighbour_purity"])
        assert "mu_1" not in row  # of a plane alone


def test_scoring_again_gives_the_same_digits(images: torch.Tensor, labels: torch.Tensor) -> None:
    model = small_vae()
    first, second = (class_probe.class_scores(model, images, labels, by_first_pixel) for _ in range(2))
    assert first == second


def test_the_reader_reads_and_is_the_same_for_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    config = datasets.resolve(RunConfig(dataset="mnist-5k", latent_dim=2), Path())[0]
    prepared = datasets.prepare(config, Path())
    state = torch.random.get_rng_state()
    monkeypatch.setattr(class_probe, "_readers", {})
    read = class_probe.reader(config, prepared)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert class_probe.reader(config.but(latent_dim=10, seed=7, epochs=3), prepared) is read
    x, labels = execute.test_pixels(config, prepared)
    log_p = read(x)
    assert log_p.exp().sum(-1) == pytest.approx(np.ones(len(x)), abs=1e-5)
    right = (log_p.argmax(-1) == labels).double().mean().item()
    assert right > 0.88  # 0.92; of 1,000 images the standard error is 0.01
    monkeypatch.setattr(class_probe, "_readers", {})
    assert torch.equal(class_probe.reader(config, prepared)(x), log_p)
    assert not torch.equal(class_probe.reader(config.but(pixels="binarised"), prepared)(x), log_p)


def test_a_run_is_the_same_with_and_without(tiny: RunConfig) -> None:
    without = execute.execute(tiny, Path())
    config = tiny.but(class_scores=True, latent_dim=2)
    with_them = execute.execute(config, Path())
    assert config.key != tiny.but(latent_dim=2).key
    found = set(with_them.metrics) - set(without.metrics)
    assert {"test/neighbour_purity", "test/unclear_prior_se", "test/class_4/mu_2", "test/class_4/neighbours_9"} <= found
    plain = execute.execute(tiny.but(latent_dim=2), Path())
    same = [name for name in plain.metrics if not name.startswith("seconds") and name != "seconds_per_epoch"]
    assert [with_them.metrics[name] for name in same] == pytest.approx([plain.metrics[n] for n in same], nan_ok=True)
    assert with_them.history == plain.history
    scores = json.loads(with_them.files["scores.json"])
    assert scores["per_class"]["4"]["mu_2"] == with_them.metrics["test/class_4/mu_2"]


def study(**changes: object) -> Study:
    fields = {
        "factors": {"latent_dim": (2, 10)},
        "full": {},
        "base": toy().base.but(class_scores=True),
        "tables": ("by_class", "overlaps", "clarity", "same_plane"),
        "figures": ("class_panels", "clarity_panels", "class_neighbours", "class_planes"),
        "tabulate": ("test/elbo", "test/neighbour_purity"),
    }
    return toy(**(fields | changes))


PLANE = np.random.default_rng(0).normal(size=(10, 2))


def runs(seeds: int = 4) -> pd.DataFrame:
    """Tidy runs with numbers that can be worked out by hand: planes are one plane, turned by 0, 30, 60, ... degrees."""
    rows = []
    for D, seed in itertools.product((2, 10), range(seeds)):
        row = {"run_id": f"{D}-{seed}", "status": "FINISHED", "latent_dim": D, "seed": seed,
               "tags.data.name": "toy", "params.subset": "null"}  # fmt: skip
        for kind, name in itertools.product(
            ("data", "reconstruction", "prior"), ("unclear", "class_entropy", "greyness")
        ):
            row[f"test/{name}_{kind}"] = 0.1 if kind == "data" else 0.2 + 0.01 * seed
        row |= {"test/recognised_data": 0.98, "test/recognised_reconstruction": 0.9}
        angle = math.radians(30 * seed)
        turned = PLANE @ [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        for c in range(10):
            head = f"test/class_{c}"
            row |= {f"{head}/elbo": -100.0 - c, f"{head}/log_likelihood": -80.0, f"{head}/relative_error": 0.2,
                    f"{head}/recognised_reconstruction": 0.9 - 0.01 * c, f"{head}/recognised_data": 0.99,
                    f"{head}/neighbour_purity": 0.55}  # fmt: skip
            row |= {f"{head}/neighbours_{other}": 0.55 if other == c else 0.05 for other in range(10)}
            if D == 2:
                row |= {f"{head}/mu_1": turned[c, 0], f"{head}/mu_2": turned[c, 1]}
        row["test/class_4/neighbours_9"] = 0.3 + 0.01 * seed
        row["test/class_9/neighbours_4"] = 0.2
        rows.append(row)
    return pd.DataFrame(rows)


def test_each_class_has_a_row() -> None:
    table = classes.by_class(runs(), study())
    assert table is not None
    assert len(table.full) == len(table.shown) == 20
    four = table.full[(table.full["class"] == 4) & (table.full["latent_dim"] == 2)].iloc[0]
    assert (four["nearest_other"], four["nearest_share"]) == (9, pytest.approx(0.315))
    half = 3.182446 * np.std([0.30, 0.31, 0.32, 0.33], ddof=1) / 2
    assert four["nearest_share_ci95"] == pytest.approx(half, rel=1e-5)
    assert table.shown.iloc[4]["nearest other"] == f"9: 0.315 ± {half:.3f}"
    assert table.shown.iloc[4]["recognised"] == "0.860 ± 0.000"
    assert "4: 0.990" in " ".join(table.notes)


def test_nats_of_two_families_stand_in_no_column() -> None:
    base = study().base.but(pixels="dequantised")
    factors = {"likelihood": ("bernoulli", "gaussian"), "latent_dim": (2,)}
    baseline = {"likelihood": "bernoulli", "latent_dim": 2}
    mixed = study(base=base, factors=factors, baseline=baseline, tabulate=("test/neighbour_purity",))
    both = pd.concat([runs().assign(likelihood=name) for name in factors["likelihood"]])
    table = classes.by_class(both[both["latent_dim"] == 2], mixed)
    assert table is not None
    assert not {"ELBO", "log-lik."} & set(table.shown)
    assert not {"elbo", "log_likelihood"} & set(table.full)


def test_the_pair_that_overlaps_most() -> None:
    table = classes.overlaps(runs(), study())
    assert table is not None
    first = table.full.iloc[0]
    assert (first["pair"], first["most"], first["seeds"]) == ("4 and 9", 4, 4)
    assert first["share"] == pytest.approx((0.315 + 0.2) / 2)
    assert table.shown.iloc[0]["first in"] == "4 of 4 seeds"


def test_clarity_has_a_row_for_each_kind_of_picture() -> None:
    table = classes.clarity(runs(), study())
    assert table is not None
    assert table.shown["pictures"].tolist() == ["test images", "reconstructions", "samples of the prior"] * 2
    assert table.shown["unclear"].tolist()[:2] == ["0.100", "0.215 ± 0.021"]
    assert table.shown["recognised"].tolist()[:3] == ["0.980", "0.900 ± 0.000", ""]


def test_planes_that_are_turned() -> None:
    """0, 30, 60 and 90 degrees: any rotation mends all six pairs; flips and swaps the one that is 90 degrees apart."""
    table = classes.same_plane(runs(), study())
    assert table is not None
    flips, rotations = table.full.to_dict("records")
    assert (flips["pairs"], rotations["pairs"]) == (6, 6)
    assert rotations["most"] == pytest.approx(0, abs=1e-9)
    assert rotations["alike"] == 6
    assert flips["least"] == pytest.approx(0, abs=1e-9)
    assert flips["median"] > 0.2
    assert 0.3 < rotations["unrelated_5_percent"] < rotations["unrelated_median"] < 1


def test_unrelated_planes_are_seldom_alike() -> None:
    """Of planes that have nothing to do with each other one pair in twenty is called alike: 9.5 ± 3.0 of 190."""
    frame = runs(20)
    rng = np.random.default_rng(1)
    for c, d in itertools.product(range(10), (1, 2)):
        frame[f"test/class_{c}/mu_{d}"] = rng.normal(size=len(frame))
    table = classes.same_plane(frame[frame["latent_dim"] == 2], study())
    assert table is not None
    for row in table.full.to_dict("records"):
        assert row["pairs"] == 190
        assert 0 < row["alike"] < 9.5 + 4 * 3.0


def test_what_the_runs_have_nothing_to_say_of() -> None:
    bare = runs()[["run_id", "status", "latent_dim", "seed", "tags.data.name", "params.subset"]]
    for name in study().tables:
        assert cost.STUDY_TABLES[name](bare, study()) is None
    for name in study().figures:
        assert bound.STUDY_FIGURES[name](bare, study()) is None
    assert classes.same_plane(runs(1), study()) is None
    assert bound.STUDY_FIGURES["class_planes"](runs(1), study()) is None


def test_a_class_without_test_images_is_left_out() -> None:
    """A look at few images may have none of some class."""
    few = runs().drop(columns=[c for c in runs() if "/class_0/" in c])
    tables = {name: cost.STUDY_TABLES[name](few, study()) for name in study().tables}
    assert tables["by_class"].full["class"].tolist() == list(range(1, 10)) * 2
    assert "of 36 pairs" in tables["overlaps"].notes[0]
    assert len(tables["same_plane"].full) == 2
    for name in study().figures:
        assert bound.STUDY_FIGURES[name](few, study()) is not None


@pytest.mark.parametrize("name", study().figures)
def test_pictures_show_something(name: str) -> None:
    figure = bound.STUDY_FIGURES[name](runs(), study())
    assert figure is not None
    pixels = image.imread(io.BytesIO(to_png(figure)))
    assert (pixels[..., :3] < 0.9).any(-1).mean() > 0.002


def test_the_whole_way(mlruns: Path) -> None:
    assert main.study_main(study(base=study().base.but(subset=200)), ["--workers", "0"]) == 0
    folder = mlruns / "tables" / "toy"
    for name in study().tables:
        assert (folder / f"{name}.csv").stat().st_size > 100
    for name in study().figures:
        assert (folder / f"{name}.png").stat().st_size > 5_000
    head = (folder / "runs.csv").read_text().splitlines()[0]
    assert "test/class_9/neighbours_4" in head
