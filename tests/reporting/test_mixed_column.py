"""The column of the difference over seeds and test images: which runs it pairs, what it says, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.evidence.test_differences import request
from tests.reporting.test_summary import STUDY, VALUES, runs
from vaestudy.errors import BadInput
from vaestudy.evidence.differences import difference_table
from vaestudy.reporting import runs_frame
from vaestudy.reporting.image_scores import RecordedScores, image_differences, read_image_scores
from vaestudy.reporting.mixed_difference import mixed_difference
from vaestudy.reporting.tables import summary
from vaestudy.run.image_scores import IMAGE_SCORES, ImageScores, identity_of, pack_image_scores

IMAGES = identity_of(torch.arange(40.0).reshape(8, 5), "grey", "f" * 64)
OTHERS = replace(IMAGES, digest="0" * 64)
NOTE = "± is the half-width of its 95 % interval over seeds and test images"


def tidy(values: Mapping[tuple[int, int], float] = VALUES) -> pd.DataFrame:
    return runs_frame.tidy_runs(runs(dict(values), **{"tags.image_scores": "elbo, iwae_100"}), STUDY)


def scores(values: Mapping[tuple[int, int], float] = VALUES, **changed: ImageScores | None) -> RecordedScores:
    """Return scores of 8 images whose means are these values; some runs have others, or none if None is given."""
    rng = np.random.default_rng(1)
    found: dict[str, ImageScores | None] = {}
    for (D, seed), value in values.items():
        noise = rng.normal(0, 3, IMAGES.count)
        elbo = value + noise - noise.mean()
        found[f"r{D}{seed}"] = ImageScores(IMAGES, {"elbo": elbo.astype(np.float32)})
    return RecordedScores({run_id: one for run_id, one in (found | changed).items() if one is not None})


def differences(recorded: RecordedScores, seeds: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    elbos = {run_id: one.values["elbo"].astype(float) for run_id, one in recorded.found.items()}
    return np.stack([elbos[f"r10{seed}"] - elbos[f"r2{seed}"] for seed in seeds])


def test_the_column_stands_beside_the_difference_over_seeds() -> None:
    recorded = scores()
    table = summary.summarise(tidy(), STUDY, recorded)
    expected = mixed_difference(differences(recorded))
    row = table.full.set_index("latent_dim").loc[10]
    assert row["test/elbo_mixed"] == pytest.approx(expected.value)
    assert row["test/elbo_mixed_ci95"] == pytest.approx(expected.half)
    assert row["test/elbo_mixed_var_images"] == pytest.approx(expected.image_variance)
    assert row["test/elbo_mixed"] == pytest.approx(row["test/elbo_diff"], abs=1e-5)  # the scores are float32
    assert list(table.shown)[1:5] == ["ELBO", "Δ ELBO", "Δ ELBO mixed", "KL"]
    assert table.shown["Δ ELBO mixed"].tolist() == ["", f"{expected.value:+.2f} ± {expected.half:.2f}"]
    (line,) = [note for note in table.notes if note.startswith("Δ ELBO mixed: the difference at the same seed")]
    assert NOTE in line


def test_the_other_columns_stay_as_they_are() -> None:
    before, now = summary.summarise(tidy(), STUDY), summary.summarise(tidy(), STUDY, scores())
    pd.testing.assert_frame_equal(now.shown.drop(columns="Δ ELBO mixed"), before.shown)
    pd.testing.assert_frame_equal(now.full[list(before.full)], before.full)
    assert now.notes[: len(before.notes)] == before.notes


def test_runs_without_scores_cost_a_note() -> None:
    before, now = summary.summarise(tidy(), STUDY), summary.summarise(tidy(), STUDY, RecordedScores({}))
    pd.testing.assert_frame_equal(now.shown, before.shown)
    assert now.notes == [*before.notes, "No per-image scores in 6 runs: difference over images not given."]
    study = STUDY.model_copy(update={"tabulate": ("test/kl", "test/elbo")})
    assert not any("per-image" in note for note in summary.summarise(tidy(), study, RecordedScores({})).notes)


@pytest.mark.parametrize("why", ["no scores", "not finite", "no such run"])
def test_only_seeds_that_both_have_are_used(why: str) -> None:
    values = {key: value for key, value in VALUES.items() if why != "no such run" or key != (2, 1)}
    broken = ImageScores(IMAGES, {"elbo": np.full(8, -np.inf, np.float32)})
    changed = {} if why == "no such run" else {"r21": broken if why == "not finite" else None}
    recorded = scores(values, **changed)
    table = summary.summarise(tidy(values), STUDY, recorded)
    row = table.full.set_index("latent_dim").loc[10]
    assert row["test/elbo_mixed_seeds"] == 2
    assert row["test/elbo_mixed_ci95"] == pytest.approx(mixed_difference(differences(recorded, (0, 2))).half)
    notes = "\n".join(table.notes)
    assert "Δ ELBO mixed uses 2 seeds in all rows: those of which both runs have per-image scores." in notes
    lacking = "No per-image scores in 1 of 6 runs, which are not in the mixed differences."
    assert (lacking in notes) == (why != "no such run")


def test_one_seed_is_over_images_alone() -> None:
    values = {key: value for key, value in VALUES.items() if key[1] == 0}
    recorded = scores(values)
    table = summary.summarise(tidy(values), STUDY, recorded)
    d = differences(recorded, (0,))[0]
    half = runs_frame.interval(pd.Series(d))[1]
    assert table.shown["Δ ELBO mixed"][1] == f"{d.mean():+.2f} ± {half:.2f}"
    assert "Δ ELBO mixed is over test images alone in all rows: one seed." in table.notes


def test_a_variance_that_was_set_to_0_is_named() -> None:
    values = dict.fromkeys(VALUES, -100.0)  # each seed has the same mean, as no random ones would have
    notes = summary.summarise(tidy(values), STUDY, scores(values)).notes
    assert "Δ ELBO mixed: the estimated variance over seeds is negative and set to 0 in all rows." in notes


def test_images_of_two_data_sets_are_not_paired() -> None:
    other = ImageScores(OTHERS, {"elbo": np.zeros(8, np.float32)})
    recorded = scores(r101=other)
    with pytest.raises(runs_frame.Incomparable, match="images cannot be paired"):
        image_differences([("r101", "r21")], "test/elbo", recorded)
    with pytest.raises(runs_frame.Incomparable, match="images cannot be paired"):
        image_differences([("r101", "r101"), ("r100", "r20")], "test/elbo", recorded)
    table = summary.summarise(tidy(), STUDY, recorded)
    assert "Δ ELBO mixed" not in table.shown
    (line,) = [note for note in table.notes if "mixed" in note]
    assert line.startswith("Δ ELBO mixed is not given in 1 rows: images cannot be paired: ")


def test_in_a_table_of_differences_each_metric_has_it() -> None:
    recorded = scores()
    frame = tidy()
    table = difference_table(frame, STUDY, request("latent_dim=2", columns=("test/elbo", "test/kl")), recorded)
    expected = mixed_difference(differences(recorded))
    assert list(table.shown) == ["latent_dim", "Δ ELBO", "Δ ELBO mixed", "Δ KL", "seeds"]
    assert table.shown["Δ ELBO mixed"].tolist() == [f"{expected.value:+.2f} ± {expected.half:.2f}"]
    assert any(NOTE in note for note in table.notes)
    back = difference_table(frame, STUDY, request("latent_dim=10"), recorded).full.iloc[0]
    assert back["test/elbo_mixed"] == pytest.approx(-expected.value)
    assert back["test/elbo_mixed_ci95"] == pytest.approx(expected.half)
    without = difference_table(frame, STUDY, request("latent_dim=2"), RecordedScores({}))
    assert list(without.shown) == ["latent_dim", "Δ ELBO", "seeds"]
    assert "No per-image scores in 6 runs: difference over images not given." in without.notes


class TestReading:
    """What is read of the tracker: the files of finished runs with the tag, and only for metrics that need them."""

    class Files:
        """A tracker that has files alone."""

        def __init__(self, files: Mapping[str, bytes]) -> None:
            self.files, self.asked = files, list[str]()

        def read_file(self, run_id: str, name: str) -> bytes:
            assert name == IMAGE_SCORES
            self.asked.append(run_id)
            if run_id not in self.files:
                raise BadInput(f"run {run_id} holds no {name}")
            return self.files[run_id]

    def test_it_reads_what_is_there_and_says_what_cannot_be_read(self) -> None:
        values = {"elbo": torch.arange(8.0).double(), "iwae_100": torch.ones(8).double()}
        good = pack_image_scores(IMAGES, values)
        frame = tidy()
        frame.loc[frame["run_id"] == "r22", "tags.image_scores"] = np.nan
        frame.loc[frame["run_id"] == "r102", "status"] = "FAILED"
        tracker = self.Files({"r20": good, "r21": good[:50], "r100": good})
        found = read_image_scores(tracker, frame, ["test/elbo", "test/kl"])  # type: ignore[arg-type]
        assert tracker.asked == ["r20", "r21", "r100", "r101"]
        assert set(found.found) == {"r20", "r100"}
        assert list(found.found["r20"].values) == ["elbo"]
        assert found.has("r20", "test/elbo")
        assert not found.has("r20", "test/iwae_100")
        assert not found.has("r21", "test/elbo")
        assert len(found.unreadable) == 2
        notes = summary.summarise(frame, STUDY, found).notes
        assert any(note.startswith("Per-image scores of 2 runs cannot be read: ") for note in notes)

    @pytest.mark.parametrize("metrics", [["test/kl"], ["train/elbo"], ["test/elbo_se"], []])
    def test_it_reads_nothing_for_other_metrics(self, metrics: list[str]) -> None:
        tracker = self.Files({})
        assert read_image_scores(tracker, tidy(), metrics) == RecordedScores({})  # type: ignore[arg-type]
        assert tracker.asked == []
