"""The report as a run of its own in MLflow, in the experiment `article`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from vaestudy.claims.family import FamilyVerdict
from vaestudy.claims.report.files import PAGE
from vaestudy.evidence.evidence import Evidence
from vaestudy.runtime import provenance
from vaestudy.tracking.mlflow_tracker import Tracker

EXPERIMENT, ROLE = "article", "article"
ABOUT = "The verdicts of the article's claims. Each run is a report: its files are under Artifacts. `make article`"


def log_report(
    tracker: Tracker, evidence: Evidence, family: Sequence[FamilyVerdict], files: Mapping[str, bytes]
) -> tuple[str, str]:
    """Log a report to MLflow; return the ids of the experiment and of the run.

    A report that is in MLflow is not logged again. If the process was killed while it logged a report, the next call
    completes that run.

    Args:
        tracker: the tracker.
        evidence: what the report rests on.
        family: the verdicts of all claims.
        files: the files of the report.

    Raises:
        TrackerUnavailable: the tracker cannot be used.
        BadInput: the experiment is in MLflow's trash.
    """
    experiment = tracker.experiments().get(EXPERIMENT) or tracker.create_experiment(EXPERIMENT, ABOUT, {})
    digest = hashlib.sha256(files[PAGE]).hexdigest()
    known = tracker.runs(experiment, {"role": ROLE, "report.digest": digest})
    if len(known) and (known["status"] == "FINISHED").any():
        return experiment, str(known.loc[known["status"] == "FINISHED", "run_id"].iloc[0])
    tags = {
        "role": ROLE,
        "report.digest": digest,
        "data.name": evidence.dataset,
        "quick": str(evidence.quick),
        "code.revision": provenance.code_revision().commit,
    }
    name = f"article {evidence.dataset}{' quick' if evidence.quick else ''}"
    run_id = str(known["run_id"].iloc[0]) if len(known) else tracker.start(experiment, name, tags)
    tracker.tag(run_id, {f"verdict.{each.alone.claim.id}": each.alone.verdict for each in family})
    tracker.metrics(run_id, report_metrics(family))
    tracker.files(run_id, files)
    tracker.close(run_id)
    return experiment, run_id


def report_metrics(family: Sequence[FamilyVerdict]) -> dict[str, float]:
    """Return the metrics of a report: the p-values of each claim, and the number of claims with each verdict."""
    found = {f"claims/{each.alone.claim.id}/p": each.alone.p for each in family}
    found |= {f"claims/{each.alone.claim.id}/p_corrected": each.p_corrected for each in family}
    counts = Counter[str](each.alone.verdict for each in family)
    names = ("holds", "fails", "depends", "undecided")
    return found | {f"claims/{name}": float(counts[name]) for name in names}
