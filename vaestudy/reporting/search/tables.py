"""Tables of a search: the best against the base, where the best lies in the space, the trials, and tuned arms."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
from optuna.trial import FrozenTrial

from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.search.arm_figures import family_of, levels_of, short_names
from vaestudy.reporting.search.expected_best import expected_best, independence_note, standard_error
from vaestudy.reporting.search.outcomes import best_trial, counted, epochs, outcome_of, sign_of, trials_with_value
from vaestudy.reporting.search.searched import CONFIGURATION, Searched
from vaestudy.reporting.tables.formats import ANY_SIZE, bound_text, format_of, interval_texts, label, three_digits
from vaestudy.reporting.tables.summary import Table
from vaestudy.study.levels import short_text
from vaestudy.study.search import TRIAL_SEED
from vaestudy.study.search_space import EDGE

TOP = 10
"""The number of trials in the table as text; the CSV file has all."""
DIFFERENCE = "best - base"
EDGE_MARK = " *"


def with_difference(table: Table, searched: Searched) -> Table:
    """Return the summary of the best and the base with a row for their difference, and with the searched levels.

    The row takes the place of the columns of differences. The numbers keep all of them.

    Args:
        table: the summary of the study whose factor is `configuration`.
        searched: the search.
    """
    full, shown = table.full.copy(), table.shown.copy()
    name_of = {searched.best_label: "best"}
    for field in searched.search.space:
        names = [name_of.get(str(configuration), "base") for configuration in full[CONFIGURATION]]
        full[field] = [searched.levels_of(name).get(field, "") for name in names]
    metrics = [name.removesuffix("_diff") for name in full.columns if name.endswith("_diff")]
    mine = full[full[CONFIGURATION] == searched.best_label]
    shown = shown.drop(columns=[column for column in shown if str(column).startswith("Δ ")])
    if metrics and len(mine):
        row = dict.fromkeys(shown.columns, "") | {CONFIGURATION: DIFFERENCE}
        for metric in metrics:
            row[label(metric)] = _difference_text(mine, metric)
        shown = pd.concat([shown, pd.DataFrame([row])], ignore_index=True)
    paired = f"{DIFFERENCE}: mean difference at the same seed, with its 95 % interval over seeds."
    notes = [paired if note.startswith("Δ: ") else note for note in table.notes]
    notes = [note for note in notes if note != paired or not searched.base_won]
    notes = [note for note in notes if not note.startswith("Δ ")]  # on columns that the table has not
    notes = [*_result_notes(searched), *notes, *search_notes(searched)]
    return replace(table, full=full, shown=shown, notes=notes)


def _difference_text(row: pd.DataFrame, metric: str) -> str:
    """Return the difference of one row to the base, with its interval, as text."""
    value, half = f"{metric}_diff", f"{metric}_diff_ci95"
    if metric.startswith(ANY_SIZE):
        return three_digits(float(row[value].iloc[0]), float(row[half].iloc[0]))
    return interval_texts(row, value, half, format_of(metric), sign="+")[0]


def _result_notes(searched: Searched) -> list[str]:
    """Return what the search has found: that the base won, or the levels of the best trial."""
    if not (best := searched.final.get("best")):
        return []
    trial = "no trial" if best["trial"] is None else f"trial {best['trial']}"
    if searched.base_won:
        return [f"The best configuration is the base itself ({trial}): the search found nothing better."]
    levels = ", ".join(f"{field}={text}" for field, text in searched.levels_of("best", short_text).items())
    return [f"The best configuration, {trial}: {levels}."]


def search_notes(searched: Searched) -> list[str]:
    """Return the notes on a search: what was tried, what it cost, and what its values are."""
    search, trials, notes = searched.search, searched.trials, list(searched.notes)
    if trials:
        trained, saved = epochs(trials)
        share = f", {100 * saved / (trained + saved):.0f} % of both together" if saved else ""
        each = f" in {len(searched.studies)} searches, one an arm" if search.per_arm else ""
        notes.append(
            f"Search: {len(trials)} trials{each}: {counted(trials)}; {trained:,} epochs trained, {saved:,} saved by "
            f"pruning{share}."
        )
    budget = " or ".join(f"{n:,} {what}" for n, what in ((search.trials, "trials"), (search.epochs, "epochs")) if n)
    notes.append(
        f"Sampler {search.sampler} (seed {search.seed}), pruner {search.pruner}, budget {budget}"
        f"{' for each arm' if search.per_arm else ''}; searched: {', '.join(search.space)}."
    )
    seeds = "one seed" if search.seeds == 1 else f"{search.seeds} seeds"
    notes.append(
        f"A trial is scored by {' and '.join(search.objectives)} of the validation images with {seeds} (from "
        f"{TRIAL_SEED:,} on). " + (
            "The rows of this table are of runs with fresh seeds, scored on the test images once."
            if searched.final
            else "No trial is scored on the test images."
        )
    )  # fmt: skip
    if searched.parallel:
        notes.append(
            "Trials ran at the same time, so the same command may propose other trials: a parallel search does not "
            "repeat exactly. Any of its runs does."
        )
    return notes


def space_table(searched: Searched) -> Table | None:
    """Return where in the space the best configuration and the base lie, one row a field; None without a best."""
    if not searched.final.get("best") or not searched.is_compared:
        return None
    best, base = searched.levels_of("best"), searched.levels_of("base")
    full = pd.DataFrame(
        {
            "field": field,
            "space": dimension.text,
            "base": base.get(field, ""),
            "best": best.get(field, ""),
            "best_at_edge": searched.is_edge("best", field),
        }
        for field, dimension in searched.search.space.items()
    )
    shown = full.drop(columns="best_at_edge")
    best, base = searched.levels_of("best", short_text), searched.levels_of("base", short_text)
    shown["base"] = [base.get(field, "") for field in full["field"]]
    marks = zip(full["field"], full["best_at_edge"], strict=True)
    shown["best"] = [f"{best.get(field, '')}{EDGE_MARK * at}" for field, at in marks]
    return Table(full, shown, [_edge_note(bool(full["best_at_edge"].any()))])


def _edge_note(any_marked: bool) -> str:
    """Return the explanation of the mark of levels at the edge of the space."""
    edge = f"in the outer {100 * EDGE:.0f} % of a range on its own scale, or the first or last of three or more numbers"
    if any_marked:
        return f"Levels with * are at the edge of the space ({edge}): a wider space may do better."
    return f"No best level lies at the edge of the space ({edge})."


def trials_table(searched: Searched) -> Table | None:
    """Return all trials as numbers and the best as text; of tuned arms, the best of each as text."""
    rows = [_trial_row(searched, arm, t) for arm, s in searched.studies.items() for t in s.get_trials(deepcopy=False)]
    if not rows:
        return None
    full = pd.DataFrame(rows)
    first = searched.search.objectives[0]
    ranked = full[full["outcome"].isin(["complete", "repeated"]) & full[first].notna()]
    ranked = ranked.sort_values(first, ascending=sign_of(next(iter(searched.studies.values()))) < 0, kind="stable")
    top = ranked.drop_duplicates("arm").sort_index() if searched.search.per_arm else ranked.head(TOP)
    shown = pd.DataFrame({"trial": top["number"].astype(str)})
    if searched.search.per_arm:
        shown.insert(0, "arm", top["arm"].map(short_names(searched.studies)))
    shown["outcome"] = top["outcome"]
    for metric in searched.search.objectives:
        shown[metric] = [bound_text(value) for value in top[metric]]
    shown["epochs"] = top["epochs"].astype(str)
    for field in searched.search.space:
        shown[field] = [
            "" if value is None or value != value else _short(str(value)) for value in top[f"params.{field}"]
        ]
    which = "The best trial of each arm" if searched.search.per_arm else f"The best {len(top)}"
    notes = [f"{which} of {len(full)} trials; trials.csv has all of them: {counted(searched.trials)}."]
    families = {family_of(arm, searched) for arm in searched.studies}
    if len(families) > 1:
        notes.append(f"Nats of {' and '.join(sorted(families))} likelihoods may not be ranked against each other.")
    if searched.search.seeds == 1:
        notes.append("One seed a trial, so the values have no interval; of many trials the best is also the luckiest.")
    return Table(full, shown, notes)


def _trial_row(searched: Searched, arm: str, trial: FrozenTrial) -> dict[str, object]:
    """Return the numbers of one trial."""
    attributes = trial.user_attrs
    values = list(trial.values or ()) or [math.nan] * len(searched.search.objectives)
    params = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in trial.params.items())
    return {
        "arm": arm,
        "number": trial.number,
        "outcome": outcome_of(trial),
        **dict(zip(searched.search.objectives, values, strict=True)),
        "epochs": int(attributes.get("epochs") or 0),
        "epochs_saved": int(attributes.get("epochs_saved") or 0),
        "pruned_epoch": attributes.get("pruned_epoch"),
        "same_as": attributes.get("same_as"),
        "reason": attributes.get("reason", ""),
        "params": params,
        **{f"params.{field}": trial.params.get(field) for field in searched.search.space},
        "run_ids": " ".join(attributes.get("run_ids") or ()),
    }


def with_tuned_levels(table: Table, searched: Searched, runs: pd.DataFrame) -> Table:
    """Return the summary of tuned arms with a column for each tuned field: the level that won in the arm's search.

    Args:
        table: the summary of the final runs.
        searched: the searches.
        runs: the tidy final runs.
    """
    factors = list(searched.study.factors)
    arms = [searched.arm_of(runs[runs["run_id"].isin(ids.split())]) for ids in table.full["run_ids"]]
    full, shown, marked = table.full.copy(), table.shown.copy(), False
    for position, field in enumerate(searched.search.space, start=len(factors)):
        texts = [searched.levels_of(arm).get(field, "") if arm else "" for arm in arms]
        edges = [bool(arm) and searched.is_edge(str(arm), field) for arm in arms]
        marked = marked or any(edges)
        full[f"tuned_{field}"], full[f"tuned_{field}_at_edge"] = texts, edges
        short = [_short(text) + EDGE_MARK * edge for text, edge in zip(texts, edges, strict=True)]
        shown.insert(position, f"tuned {field}", short)
    tuned = ", ".join(searched.search.space)
    notes = [f"Tuned: each row has the {tuned} that won in a search of its own.", _edge_note(marked)]
    return replace(table, full=full, shown=shown, notes=[*table.notes, *notes, *search_notes(searched)])


def _short(text: str) -> str:
    """Return a level with at most three significant digits, if it is a number with a fraction."""
    try:
        return f"{float(text):.3g}" if any(mark in text for mark in ".e") else text
    except ValueError:
        return text


def search_spread(searched: Searched, runs: pd.DataFrame) -> Table | None:
    """Return the spread of each arm's search beside the spread over seeds; None if no trial has a value.

    Args:
        searched: the searches.
        runs: the tidy final runs.
    """
    studies = {arm: study for arm, study in searched.studies.items() if trials_with_value(study)}
    if not searched.search.per_arm or not studies or len(searched.search.objectives) > 1:
        return None
    metric, keys = searched.search.objectives[0], searched.final_keys()
    totals = {arm: sum(t.state.is_finished() for t in s.get_trials(deepcopy=False)) for arm, s in studies.items()}
    n, rows = max(1, min(totals.values()) // 2), []
    for arm, study in studies.items():
        sign, total = sign_of(study), totals[arm]
        values = pd.Series([trial.values[0] for trial in trials_with_value(study)])
        signed = [sign * value for value in values]
        mine = runs[runs["tags.config.key"].isin(keys.get(arm, set())) & (runs["status"] == "FINISHED")]
        seeds = mine[metric].dropna() if metric in mine else pd.Series(dtype=float)
        mean, half = interval(seeds)
        best = best_trial(study)
        rows.append(levels_of(arm) | {
            "family": family_of(arm, searched), "trials": total, "with_value": len(values),
            "best": best.values[0] if best else math.nan, "n": n,
            "expected_best": sign * expected_best(signed, total, n),
            "expected_best_se": standard_error(signed, total, n), "sd_trials": values.std(ddof=1),
            "seeds": len(seeds), "final": mean, "final_ci95": half, "sd_seeds": seeds.std(ddof=1)})  # fmt: skip
    full = pd.DataFrame(rows)
    names = [*searched.study.factors, *(["family"] if full["family"].nunique() > 1 else [])]
    shown = full[names].astype(str)
    shown["trials"] = full["trials"].astype(str)
    shown["best"] = [bound_text(value) for value in full["best"]]
    shown[f"best of {n}"] = interval_texts(full, "expected_best", "expected_best_se", ".2f")
    shown["sd trials"] = [bound_text(value) for value in full["sd_trials"]]
    shown["final"] = interval_texts(full, "final", "final_ci95", ".2f")
    shown["sd seeds"] = [bound_text(value) for value in full["sd_seeds"]]
    notes = [
        f"All columns: {metric}, validation images. best: of all trials, one search. best of {n}: the expected best "
        f"after {n} trials (Tang et al. 2020, without replacement) ± 1 standard error over repeated searches.",
        "sd trials: over the trials with a final value, so over the space. final: the winner's configuration with "
        "fresh seeds, mean ± 95 % interval over seeds; sd seeds: over those.",
        f"A trial without a final value counts as one of the {n}, and is never the best.",
        independence_note(searched.search.sampler),
    ]
    if full["family"].nunique() > 1:
        notes.append("Nats of different families of likelihoods may not be ranked against each other.")
    return Table(full, shown, notes)
