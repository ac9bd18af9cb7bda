"""The glossary defines each metric, tag and parameter that runs record, and says where it is computed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.studies import run_study
from vaestudy import RunConfig, Study
from vaestudy.claims.family import judge_family
from vaestudy.claims.registry import CLAIMS
from vaestudy.claims.report.logged import report_metrics
from vaestudy.config.registry import OBJECTIVES
from vaestudy.evidence.evidence import Evidence
from vaestudy.runtime import addresses, project, provenance
from vaestudy.scoring import class_probe
from vaestudy.study import metrics
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.training.gradient_noise import GROUPS, STAGES

GLOSSARY = project.repository() / "docs" / "glossary.md"
BASE = RunConfig(dataset="mnist-5k", hidden=(16,), minibatch=200, valid_size=500, milestones=(400,), gradient_images=20)


def study(**changes: object) -> Study:
    """A study of one cell that records everything there is to record for its configuration."""
    fields = {"name": "recorded", "doc": "What is recorded?", "base": BASE, "factors": {"latent_dim": (2,)},
              "baseline": {"latent_dim": 2}}  # fmt: skip
    return Study(**(fields | changes))


STUDIES = {
    "everything": study(base=BASE.with_changes(class_scores=True, gradient_estimators=("stl",), estimator="iwae")),
    "pixels": study(base=BASE.with_changes(pixels="dequantised", sigma_floor=0.01)),
    "scales": study(
        base=BASE.with_changes(pixels="dequantised", likelihood="gaussian"),
        factors={"sigma": ("raw",), "samples": (2,)},
        baseline={"sigma": "raw", "samples": 2},
        tabulate=("test/bits_per_dim",),
        figures=("arms",),
    ),
}


def rows(heading: str) -> dict[str, list[str]]:
    """First column -> the other columns, of the tables whose first heading is `heading`."""
    found: dict[str, list[str]] = {}
    inside = False
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0] == heading:
            inside = True
        elif not cells:
            inside = False
        elif inside and not cells[0].startswith("---"):
            name = cells[0].strip("`")
            assert name not in found, f"{name} is defined twice"
            found[name] = cells[1:]
    return found


PLACEHOLDERS = {
    "ais": r"\d+x\d+x\d+(?:-linear)?(?:-\d+steps)?",
    "C": r"\d",
    "claim": r"C\d+",
    "K": r"\d+",
    "d": "[12]",
    "density": "(?:continuous_bernoulli_)?",
    "estimator": "|".join(OBJECTIVES),
    "fact": "split|rounding|arrays|unused|class_names|files",
    "field": "|".join(RunConfig.model_fields),
    "factor": "|".join(RunConfig.model_fields),
    "group": "|".join(GROUPS),
    "images": r"\d+",
    "own": r"\w+",
    "metric": ".+",
    "other": r"\d",
    "package": "|".join(provenance.versions()),
    "part": "|".join(provenance.hardware()),
    "pictures": "data|reconstruction|prior",
    "score": r"\w+",
    "split": "train|valid|test",
    "stage": "|".join(STAGES),
    "verdict": "holds|fails|depends|undecided",
}
"""What may stand in place of `<...>` in the glossary."""

METRICS, TAGS, PARAMETERS = rows("metric"), rows("tag"), rows("parameter")


def pattern(name: str) -> re.Pattern[str]:
    """Return what matches the names that a row stands for."""
    parts = re.split(r"<(\w+)>", name)
    return re.compile("".join(f"({PLACEHOLDERS[part]})" if i % 2 else re.escape(part) for i, part in enumerate(parts)))


def is_defined(name: str) -> bool:
    """Return whether a metric has a row; one made of another metric's name needs that metric's row as well."""
    if name.endswith("_se"):
        return is_defined(name.removesuffix("_se"))
    if name.startswith("by_"):
        return is_defined(name.partition("/")[2])
    matching = [row for row in METRICS if pattern(row).fullmatch(name)]
    return any("<score>" not in row or is_a_score(name.rpartition("/")[2]) for row in matching)


def is_a_score(name: str) -> bool:
    """Return whether some row ends in this name."""
    return any(pattern(row.rpartition("/")[2]).fullmatch(name) for row in METRICS if "<score>" not in row)


@pytest.mark.parametrize("name", STUDIES)
def test_what_a_quick_study_records_is_defined(name: str, mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_probe, "_classifiers", {})
    monkeypatch.setattr(class_probe, "CLASSIFIER_STEPS", 50)
    assert run_study(STUDIES[name], "--quick", "--seeds", "1") == 0
    tracker = Tracker(addresses.tracking_uri(None))
    runs = tracker.runs(tracker.experiments()["recorded"])
    assert set(runs["status"]) == {"FINISHED"}
    recorded = {kind: [c.removeprefix(f"{kind}.") for c in runs if c.startswith(f"{kind}.")]
                for kind in ("metrics", "tags", "params")}  # fmt: skip
    assert len(recorded["metrics"]) > 40
    assert [metric for metric in recorded["metrics"] if not is_defined(metric)] == []
    ours = [tag for tag in recorded["tags"] if not tag.startswith("mlflow.")]
    assert [tag for tag in ours if not any(pattern(row).fullmatch(tag) for row in TAGS)] == []
    assert set(recorded["params"]) <= set(PARAMETERS)


def test_what_a_report_records_is_defined() -> None:
    recorded = report_metrics(judge_family(CLAIMS.values(), Evidence({}, "mnist")))
    assert len(recorded) == 2 * len(CLAIMS) + 4
    assert [metric for metric in recorded if not is_defined(metric)] == []
    assert {"verdict.<claim>", "report.digest"} < set(TAGS)


def test_parameters_are_the_configurations_fields_in_its_own_words() -> None:
    expected = {name: " ".join((field.description or "").split()) for name, field in RunConfig.model_fields.items()}
    assert {name: cells[0] for name, cells in PARAMETERS.items()} == expected


@pytest.mark.parametrize("table", [METRICS, TAGS], ids=["metrics", "tags"])
def test_every_row_names_a_file_that_is_there(table: dict[str, list[str]]) -> None:
    package = project.repository() / "vaestudy"
    for name, cells in table.items():
        assert cells[0], name
        pattern(name)
        for file in re.findall(r"`([^`]+\.py)`", cells[-1]):
            assert (package / file).is_file(), f"{name}: {file}"


def test_the_metrics_that_a_study_may_tabulate() -> None:
    """They are those of the glossary, but for the metrics of a sweep's own run and of a report."""
    own = {"cells", "runs/finished", "runs/failed", "seconds/all_runs", "by_<factor>/<metric>"}
    own |= {f"best/<metric>{end}" for end in ("", "_ci95", "_diff", "_diff_ci95")}
    own |= {"claims/<claim>/p", "claims/<claim>/p_corrected", "claims/<verdict>"}
    assert set(METRICS) - own == set(metrics.METRICS)
    for name in ("test/iwae_100", "test/elbo_se", "class_0/elbo", "test/class_0/mu_1", "gradient/end/stl/all/snr"):
        assert metrics.is_metric(name) == (name != "class_0/elbo")
