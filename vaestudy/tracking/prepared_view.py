"""Views of MLflow's runs page that are prepared for a study: its factors and metrics as columns, and charts of them.

MLflow keeps the shared and the saved views of its runs page as tags of the experiment, `mlflow.sharedViewState.<key>`.
The form of such a tag is not documented. It was read from the page code of the versions in `VERIFIED_VERSIONS`:

    {"name": text in the menu «Views», "createdAt": ms, "updatedAt": ms, "state": JSON as text}

The state has the fields of the page's search and of its table and charts; a field that it lacks has the page's default.
An address with `viewStateShareKey=<key>` opens the view. Pages of other versions get no view, and the address of the
sweep run is shown in its place.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from vaestudy.study.declaration import Study
from vaestudy.study.metrics import lower_is_better
from vaestudy.study.short_names import SHORT
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.stored_form import TAG, stored_metric, varying_fields

VERIFIED_VERSIONS = ("3.17",)
"""The versions of MLflow, major and minor, whose page code has this form of views."""
LONGEST_VIEW = 20_000  # characters of a tag of an experiment
MOST_METRICS = 12  # with more, the columns and charts are too narrow to read
CURVES = ("valid/elbo", "valid/log_likelihood", "valid/kl", "train/elbo", "train/log_likelihood", "train/kl")
SECTIONS = ("test", "valid", "train", "wall_seconds", "Model metrics", "System metrics")
"""Sections of charts that the page adds by itself; here they come last and closed."""

State = dict[str, Any]


def prepare_views(tracker: Tracker, experiment: str, sweep_run: str, study: Study, sweep: str, created: int) -> bool:
    """Store the two views of a sweep, its runs and its cells; return whether the pages of this MLflow have views.

    Args:
        tracker: the tracker.
        experiment: the id of the study's experiment.
        sweep_run: the id of the sweep run.
        study: the study as it was declared.
        sweep: the name of the sweep.
        created: when the sweep began, in milliseconds.
    """
    if not has_views(tracker):
        return False
    for key, name, grouped in ((sweep_run, sweep, False), (_key_of_cells(sweep_run), f"{sweep}, mean of seeds", True)):
        tracker.share_view(experiment, key, view_text(name, view_state(study, sweep, grouped), created))
    return True


def has_views(tracker: Tracker) -> bool:
    """Return whether the pages that show the tracker's runs are of a version in `VERIFIED_VERSIONS`."""
    return ".".join(tracker.page_version().split(".")[:2]) in VERIFIED_VERSIONS


def sweep_link(tracker: Tracker, experiment: str, sweep_run: str) -> str:
    """Return the address of the prepared view of a sweep's runs, or of the sweep run if there are no views."""
    return tracker.view_link(experiment, sweep_run) if has_views(tracker) else tracker.link(experiment, sweep_run)


def cells_link(tracker: Tracker, experiment: str, sweep_run: str) -> str | None:
    """Return the address of the view with one row for each cell, its mean over seeds; None without prepared views."""
    return tracker.view_link(experiment, _key_of_cells(sweep_run)) if has_views(tracker) else None


def _key_of_cells(sweep_run: str) -> str:
    """Return the key of the view with one row for each cell."""
    return f"{sweep_run}-cells"


def view_text(name: str, state: State, created: int) -> str:
    """Return the value of a view's tag. If it would be too long, it has no charts."""
    for chosen in (state, {key: value for key, value in state.items() if not key.startswith("compareRun")}):
        text = json.dumps({"name": name, "createdAt": created, "updatedAt": created, "state": json.dumps(chosen)})
        if len(text) <= LONGEST_VIEW:
            break
    return text


def view_state(study: Study, sweep: str, grouped: bool) -> State:
    """Return the state of the runs page that shows the runs of a sweep, without the sweep run.

    Args:
        study: the study.
        sweep: the name of the sweep.
        grouped: whether runs that differ only in the seed are one row, with their means.
    """
    fields, metrics = varying_fields(study), study.tabulate[:MOST_METRICS]
    levels = [name for name in fields if name != "seed"]
    main = stored_metric(metrics[0])
    columns = [f"params.`{name}`" for name in fields] + [f"metrics.`{stored_metric(name)}`" for name in metrics]
    charts, sections = _charts(study, levels, metrics)
    keys = [{"mode": "param", "groupByData": name} for name in levels]
    return {
        "searchFilter": f"tags.`{TAG}sweep` = '{sweep}' AND tags.`{TAG}role` = 'trial'",
        "orderByKey": f"metrics.`{main}`",
        "orderByAsc": lower_is_better(metrics[0]) is True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,
        "compareRunSections": sections,
        "compareRunCharts": charts,
        "groupBy": {"aggregateFunction": "average", "groupByKeys": keys} if grouped else None,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
    }


def _charts(study: Study, levels: Sequence[str], metrics: Sequence[str]) -> tuple[list[State], list[State]]:
    """Return the charts of a view and their sections.

    Args:
        study: the study.
        levels: the fields that vary, without the seed.
        metrics: the tabulated metrics.
    """
    axis = _axis(study, levels)
    titles = {"against": f"Metrics against {SHORT.get(axis, '').rstrip('=') or axis}",
              "parallel": "Parallel coordinates", "curves": "Training curves"}  # fmt: skip
    sections = [_section(key, title, display=True) for key, title in titles.items()]
    sections += [_section(f"section-{name}", name, display=False) for name in SECTIONS]
    charts = [_scatter(number, axis, name) for number, name in enumerate(metrics)]
    charts.append(_parallel(levels, metrics))
    return charts + [_line(number, name) for number, name in enumerate(CURVES)], sections


def _axis(study: Study, levels: Sequence[str]) -> str:
    """Return the field that is the horizontal axis: the first with numeric levels, else the first."""
    numeric = [name for name in levels if all(type(v) in (int, float) for v in study.factors.get(name, ("",)))]
    return next(iter((*numeric, *levels)))


def _section(key: str, name: str, display: bool) -> State:
    return {"uuid": key, "name": name, "display": display, "isReordered": True, "deleted": False, "isGenerated": False}


def _card(kind: str, key: str, section: str) -> State:
    """Return what all kinds of charts have."""
    head = {"type": kind, "uuid": key, "metricSectionId": section, "runsCountToCompare": 100}
    return head | {"deleted": False, "isGenerated": False}


def _scatter(number: int, field: str, metric: str) -> State:
    """Return the chart of a metric against a field."""
    axes = {"xaxis": {"key": field, "type": "PARAM"}, "yaxis": {"key": stored_metric(metric), "type": "METRIC"}}
    return _card("SCATTER", f"against-{number}", "against") | axes


def _parallel(levels: Sequence[str], metrics: Sequence[str]) -> State:
    """Return the chart of parallel coordinates over the fields that vary and the tabulated metrics."""
    chosen = {"selectedParams": list(levels), "selectedMetrics": [stored_metric(name) for name in metrics]}
    return _card("PARALLEL", "parallel-0", "parallel") | chosen | {"showAllRuns": False}


def _line(number: int, metric: str) -> State:
    """Return the chart of a metric over the epochs."""
    return _card("LINE", f"curve-{number}", "curves") | {
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "displayName": metric,
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "range": {},
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
