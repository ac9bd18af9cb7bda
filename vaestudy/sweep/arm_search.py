"""One search: asks Optuna for configurations, and reports to Optuna how their runs ended.

Optuna's states and our tag `outcome` of a trial:

    COMPLETE   complete     all its runs ended; its value is the mean over its seeds
    COMPLETE   repeated     an earlier trial had the same configuration; nothing was trained (PRUNED if that was pruned)
    PRUNED     pruned       the pruner ended it early
    PRUNED     infeasible   its configuration is not valid or needs too much memory; nothing was trained
    FAIL       diverged     the loss of a run became non-finite
    FAIL       failed       a run crashed more often than `--retries` allows

A trial counts against the budget unless it is infeasible or failed. A trial that a killed driver left RUNNING goes on
under its own number: its configuration is in Optuna's storage, its runs are in MLflow, in the outbox or in checkpoints.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.scoring.bounds import Metrics
from vaestudy.study.levels import Level
from vaestudy.study.plan import UNSCORED, Arm
from vaestudy.study.search import NO_PRUNER, OBJECTIVES, SEED_PRUNER, TAKEN_OVER, Search
from vaestudy.sweep.proposals import Constraints, Proposals, frozen_trial
from vaestudy.sweep.samplers import level_from_stored

COUNTED = ("complete", "repeated", "pruned", "diverged")
"""Outcomes that count against the budget."""
TRAINED = ("complete", "pruned", "diverged")
"""Outcomes of trials whose configuration is not trained again: it would have the same outcome."""
MOST_INFEASIBLE = 1_000
"""The number of infeasible trials after which a search ends: a space may have no feasible configuration."""
MOST_REPEATED = 50
"""The number of trials in a row without a new configuration after which a search with a budget in epochs ends: all of
its space may have been tried, and repeated trials use up no epochs."""
DECLARED = "declared"
"""The attribute of Optuna's study with the declaration that its trials were made under."""


@dataclass
class OpenTrial:
    """A trial whose runs are under way."""

    trial: Trial
    name: str
    """The searched fields as text."""
    configs: list[RunConfig]
    """The configurations of its runs, one for each seed."""
    reported: int = -1
    """The last step whose value Optuna has; -1 if it has none. A run that goes on repeats its earlier epochs."""
    values: list[list[float]] = field(default_factory=list)
    """The objectives of the runs that have ended."""
    epochs: int = 0
    """The epochs of the runs that have ended."""
    run_ids: list[str] = field(default_factory=list)
    followers: list[Trial] = field(default_factory=list)
    """Later trials with the same configuration. They get the same outcome."""

    @property
    def next_config(self) -> RunConfig:
        """Return the configuration of the run that is to be executed next, or is under way."""
        return self.configs[len(self.values)]


class ArmSearch:
    """The search of one arm.

    Args:
        arm: the arm.
        search: the declaration of the search.
        study: Optuna's study of the arm.
        constraints: returns the constraints of a configuration.

    Raises:
        BadInput: the trials in `study` were made under another declaration.
    """

    def __init__(self, arm: Arm, search: Search, study: optuna.Study, constraints: Constraints) -> None:
        self.arm, self.search, self.study = arm, search, study
        self._base = arm.base.with_changes(**UNSCORED)
        self._proposals = Proposals(search, self._base, study, constraints)
        self.open: dict[int, OpenTrial] = {}
        self.crashed = 0
        """Number of trials that failed since this driver began; they are not replaced at once."""
        self._require_same_declaration()

    @property
    def epochs_per_run(self) -> int:
        """Return the number of epochs of a run that is not pruned."""
        return self._base.epochs or 1

    @property
    def judges_epochs(self) -> bool:
        """Return whether the pruner compares epochs, so that a run waits for its answer after each."""
        return self.search.pruner not in (NO_PRUNER, SEED_PRUNER)

    @property
    def reports_epochs(self) -> bool:
        """Return whether Optuna gets the objective after each epoch; else there is one value for each seed, or none."""
        return len(self.search.objectives) == 1 and self.search.seeds == 1

    def _require_same_declaration(self) -> None:
        """Store the declaration with the trials, or raise if they were made under another one."""
        own = self.search.model_dump(mode="json", exclude={"trials", "epochs", "per_arm"})
        declared = {**own, "base": self._base.model_dump(mode="json")}
        earlier = self.study.user_attrs.get(DECLARED)
        if earlier is None:
            self.study.set_user_attr(DECLARED, json.dumps(declared, sort_keys=True))
            return
        before = json.loads(earlier)
        # A search that is older than a field of the configuration was made with what is now its default.
        before["base"] = RunConfig().model_dump(mode="json") | before["base"]
        if differing := [name for name in declared if before.get(name) != declared[name]]:
            head, count = f"search {self.arm.name}".strip(), len(self.trials())
            raise BadInput(
                f"{head}: its {count} trials were made under another declaration (differs in: {', '.join(differing)}); "
                "--fresh starts anew and keeps them"
            )

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, by number."""
        return self.study.get_trials(deepcopy=False)

    def counted(self) -> list[FrozenTrial]:
        """Return the trials that count against the budget and lie within it, by number."""
        ended = [trial for trial in self.trials() if trial.state.is_finished()]
        found = [trial for trial in ended if trial.user_attrs.get("outcome") in COUNTED]
        return found if self.search.trials is None else found[: self.search.trials]

    def epochs_spent(self) -> int:
        """Return the number of epochs that finished trials have trained."""
        return sum(int(trial.user_attrs.get("epochs", 0)) for trial in self.trials())

    def has_budget(self) -> bool:
        """Return whether the budget allows another trial beside those that are open."""
        if self.search.trials is not None:
            followers = sum(len(trial.followers) for trial in self.open.values())
            if len(self.counted()) + len(self.open) + followers + self.crashed >= self.search.trials:
                return False
        if self.search.epochs is None:
            return True
        if self._only_repeats():
            return False
        each = self.epochs_per_run * self.search.seeds
        return self.epochs_spent() + (len(self.open) + 1 + self.crashed) * each <= self.search.epochs

    def _only_repeats(self) -> bool:
        """Return whether the last `MOST_REPEATED` trials had configurations of earlier ones."""
        followers = {follower.number for opened in self.open.values() for follower in opened.followers}
        recent = self.trials()[-MOST_REPEATED:]
        return len(recent) == MOST_REPEATED and all("same_as" in t.user_attrs or t.number in followers for t in recent)

    def has_open_trials(self) -> bool:
        """Return whether a killed driver left trials RUNNING."""
        return any(not trial.state.is_finished() for trial in self.trials())

    def ask(self) -> OpenTrial | None:
        """Return a new trial whose runs must be executed, or None if the budget is used up.

        Trials that need no run, as they are infeasible or repeat another trial, are closed on the way.

        Raises:
            BadInput: the search has found `MOST_INFEASIBLE` infeasible configurations.
        """
        while self.has_budget():
            known = self.trials()
            self._require_some_feasible(known)
            self.study.sampler = self._proposals.sampler(len(known))
            if (opened := self._open(self.study.ask(), known)) is not None:
                return opened
        return None

    def _require_some_feasible(self, known: Sequence[FrozenTrial]) -> None:
        """Raise if the space has hardly any feasible configuration."""
        reasons = [t.user_attrs["reason"] for t in known if t.user_attrs.get("outcome") == "infeasible"]
        if len(reasons) >= MOST_INFEASIBLE:
            raise BadInput(
                f"search: {len(reasons)} configurations of its space are infeasible; the last: {reasons[-1]}"
            )

    def _open(self, trial: Trial, known: Sequence[FrozenTrial]) -> OpenTrial | None:
        """Complete a trial's configuration; return it if its runs must be executed.

        Args:
            trial: a RUNNING trial.
            known: the other trials.
        """
        proposal = self._proposals.complete(trial)
        if proposal.config is None:
            self._close(trial, "infeasible", TrialState.PRUNED, reason=proposal.reason)
            return None
        config = proposal.config
        configs = [config.with_changes(seed=seed) for seed in self.search.trial_seeds]
        steps = frozen_trial(self.study, trial).intermediate_values
        opened = OpenTrial(trial, proposal.name, configs, max(steps, default=-1))
        trial.set_user_attr("keys", (keys := [config.key for config in configs]))
        for other in self.open.values():
            if [config.key for config in other.configs] == keys:
                other.followers.append(trial)
                return None
        for earlier in known:
            if earlier.user_attrs.get("keys") == keys and earlier.user_attrs.get("outcome") in TRAINED:
                self._repeat(trial, earlier)
                return None
        self.open[trial.number] = opened
        return opened

    def adopt(self) -> list[OpenTrial]:
        """Take over the trials that a killed driver left RUNNING; return those whose runs must be executed or found.

        The time is noted with each trial: without it, the time until then would look like the trial's work.
        """
        found = []
        known = self.trials()
        for frozen in known:
            if frozen.state != TrialState.RUNNING:
                continue
            taken_over = [*frozen.user_attrs.get(TAKEN_OVER, []), datetime.now().isoformat()]
            self.study._storage.set_trial_user_attr(frozen._trial_id, TAKEN_OVER, taken_over)
            complete = "keys" in frozen.user_attrs
            # A trial with all its parameters needs no sampler; one without gets the sampler that it would have had.
            self.study.sampler = RandomSampler(seed=0) if complete else self._proposals.sampler(frozen.number)
            others = [trial for trial in known if trial.number != frozen.number]
            if (opened := self._open(Trial(self.study, frozen._trial_id), others)) is not None:
                found.append(opened)
        return found

    def judge(self, opened: OpenTrial, epoch: int, metrics: Metrics) -> bool:
        """Report the objective after an epoch of a trial's run; return whether the pruner ends the run there.

        A run that continues after a kill repeats epochs for which the pruner has already answered. For the last of them
        the pruner is asked again, as the driver may have been killed before it acted on the answer.
        """
        if not self.reports_epochs:
            return False
        asks = self.judges_epochs and epoch < self.epochs_per_run
        return self._report(opened, metrics[self.search.objectives[0]], epoch) and asks and opened.trial.should_prune()

    def catch_up(self, opened: OpenTrial, history: Mapping[int, Metrics]) -> None:
        """Report those epochs of a finished run of a trial that Optuna does not have.

        Their messages were lost with a worker, or Optuna's storage was damaged. The pruner is asked for each, as it
        notes which trials it has compared; its answers are not used, as the run has ended.

        Args:
            opened: the trial.
            history: epoch -> its metrics, or at least the objectives.
        """
        for epoch, metrics in sorted(history.items()):
            if epoch > opened.reported:
                self.judge(opened, epoch, metrics)

    @staticmethod
    def _report(opened: OpenTrial, value: float, step: int) -> bool:
        """Report a value unless Optuna has it; return whether it is the last one, for which the pruner may be asked."""
        if step > opened.reported:
            opened.trial.report(value, step)
            opened.reported = step
        return step == opened.reported

    def run_ended(self, opened: OpenTrial, metrics: Mapping[str, float], epochs: int, run_id: str | None) -> bool:
        """Record that a run of a trial ended after its last epoch; return whether the trial has ended too.

        Args:
            opened: the trial.
            metrics: the metrics of the last epoch.
            epochs: the number of epochs of the run.
            run_id: the run in MLflow, if the tracker could be used.
        """
        opened.values.append([metrics[name] for name in self.search.objectives])
        opened.epochs += epochs
        opened.run_ids += [run_id] if run_id else []
        left = len(opened.configs) - len(opened.values)
        if self.search.pruner == SEED_PRUNER:
            last = self._report(opened, opened.values[-1][0], len(opened.values) - 1)
            if last and left and opened.trial.should_prune():
                self._end(opened, "pruned", TrialState.PRUNED, saved=left * self.epochs_per_run)
                return True
        if left:
            return False
        self._end(
            opened, "complete", TrialState.COMPLETE, [statistics.fmean(run) for run in zip(*opened.values, strict=True)]
        )
        return True

    def run_pruned(self, opened: OpenTrial, epoch: int, run_id: str | None) -> None:
        """Record that the pruner ended a trial's run after an epoch, which ends the trial."""
        opened.epochs += epoch
        opened.run_ids += [run_id] if run_id else []
        self._end(opened, "pruned", TrialState.PRUNED, saved=self.epochs_per_run - epoch, pruned_epoch=epoch)

    def run_failed(self, opened: OpenTrial, reason: str, diverged: bool, run_id: str | None) -> None:
        """Record that a run of a trial diverged, or crashed for the last time, which ends the trial."""
        opened.run_ids += [run_id] if run_id else []
        if diverged:  # in the epoch after the last one that was reported, if epochs are reported
            began = opened.reported + 1 if opened.reported > 0 and self.search.seeds == 1 else 1
            opened.epochs += began
        self.crashed += not diverged
        self._end(opened, "diverged" if diverged else "failed", TrialState.FAIL, reason=reason)

    def _end(
        self, opened: OpenTrial, outcome: str, state: TrialState, values: list[float] | None = None,
        saved: int = 0, **attributes: Any,
    ) -> None:  # fmt: skip
        """Close an open trial and those that follow it."""
        del self.open[opened.trial.number]
        about = {"run_ids": opened.run_ids, "epochs": opened.epochs, "epochs_saved": saved} | attributes
        self._close(opened.trial, outcome, state, values, **about)
        for follower in opened.followers:
            self._repeat(follower, frozen_trial(self.study, opened.trial))

    def _repeat(self, trial: Trial, earlier: FrozenTrial) -> None:
        """Close a trial with the outcome of an earlier one with the same configuration."""
        outcome = "repeated" if earlier.state in (TrialState.COMPLETE, TrialState.PRUNED) else "failed"
        if len(self.search.objectives) == 1:
            known = frozen_trial(self.study, trial).intermediate_values  # after a kill it may have some
            for step, value in earlier.intermediate_values.items():
                if step not in known:
                    trial.report(value, step)
        values = list(earlier.values) if earlier.state == TrialState.COMPLETE and earlier.values else None
        about = {"same_as": earlier.number, "run_ids": earlier.user_attrs.get("run_ids", []), "epochs": 0}
        if reason := earlier.user_attrs.get("reason"):
            about["reason"] = reason
            outcome = earlier.user_attrs["outcome"]
        self._close(trial, outcome, earlier.state, values, **about)

    def _close(
        self, trial: Trial, outcome: str, state: TrialState, values: list[float] | None = None, **attributes: Any
    ) -> None:
        """Set a trial's attributes, then its state, which comes last: a trial with a state is complete."""
        for name, value in ({"outcome": outcome} | attributes).items():
            trial.set_user_attr(name, value)
        self.study.tell(trial, values, state)

    def best(self) -> FrozenTrial | None:
        """Return the best complete trial within the budget, the earliest of equals; None if there is none."""
        if len(self.search.objectives) > 1:
            return None
        complete = [trial for trial in self.counted() if trial.state == TrialState.COMPLETE and trial.value is not None]
        sign = 1 if OBJECTIVES[self.search.objectives[0]] == "maximize" else -1
        return max(complete, key=lambda trial: (sign * (trial.value or 0.0), -trial.number), default=None)

    def best_levels(self) -> dict[str, Level] | None:
        """Return the searched fields of the best trial; None if there is none."""
        if (trial := self.best()) is None:
            return None
        return {name: level_from_stored(self.search.space, name, trial.params[name]) for name in self.search.space
                if name in trial.params}  # fmt: skip
