"""The file of trials: what is written is read back, whatever the outcomes of the trials."""

from __future__ import annotations

import json
import math

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState, create_trial

from tests.support.searches import trials
from vaestudy.reporting.search.trials import read_trials, trials_json

OUTCOMES = ("complete", "pruned", "failed", "diverged", "infeasible", "repeated")


def test_trials_are_read_back() -> None:
    one, two = trials(*OUTCOMES), trials("complete", objectives=2)
    one.add_trial(create_trial(state=TrialState.RUNNING))
    with pytest.warns(ExperimentalWarning):
        one.set_metric_names(["valid/elbo"])
    found = read_trials(trials_json({"": one, "latent_dim=2": two}))
    assert list(found) == ["", "latent_dim=2"]
    for before, after in zip((one, two), found.values(), strict=True):
        assert after.directions == before.directions
        assert after.metric_names == before.metric_names
        for old, new in zip(before.trials, after.trials, strict=True):
            same = ("number", "state", "values", "params", "distributions", "intermediate_values", "user_attrs")
            for name in (*same, "datetime_start", "datetime_complete", "system_attrs"):
                assert getattr(new, name) == getattr(old, name), name
    assert found[""].trials[4].constraints == {"memory": 1.0}


def test_numbers_that_json_lacks() -> None:
    study = trials()
    study.add_trial(create_trial(state=TrialState.FAIL, intermediate_values={1: math.nan, 2: -math.inf}))
    content = trials_json({"": study})
    json.loads(content, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    values = read_trials(content)[""].trials[0].intermediate_values
    assert math.isnan(values[1])
    assert values[2] == -math.inf


def test_a_file_of_another_format() -> None:
    with pytest.raises(ValueError, match="not of format 1"):
        read_trials(b'{"format": 2, "studies": {}}')


def test_reading_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    optuna.logging.enable_propagation()
    read_trials(trials_json({"": trials("complete")}))
    assert capsys.readouterr() == ("", "")
