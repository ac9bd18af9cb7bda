"""Test the dashboard: what its pages show of a journal with trials of cells and of a search, and that it only reads.

The trials are made by a ledger without any training. The tests that start the server are skipped where optuna-dashboard
is not installed.
"""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from tests.support.studies import searching, toy
from vaestudy.cli import dashboard as command
from vaestudy.cli.main import main
from vaestudy.errors import BadInput
from vaestudy.run.record import EpochEnd
from vaestudy.runtime import project
from vaestudy.study.declaration import make_cells
from vaestudy.sweep import dashboard
from vaestudy.sweep.proposals import open_study
from vaestudy.sweep.trial_ledger import TrialLedger, open_trials, optuna_storage

OBJECTIVE = "valid/elbo"


def record_trials(storage: Any, name: str) -> None:
    """Record trials of cells, two of them as an earlier revision did, and a search with one trial."""
    trials = open_trials(storage, name, OBJECTIVE)
    large = IntDistribution(0, 2**53 - 1)
    for seed in (7, 8):
        former = create_trial(
            state=TrialState.COMPLETE, value=-100.0 - seed, params={"latent_dim": 2, "seed": seed},
            distributions={"latent_dim": large, "seed": large},
            user_attrs={"key": f"k{seed}", "run_id": "r", "cell": f"latent_dim=2, seed={seed}"},
        )  # fmt: skip
        trials.add_trial(former)
    publisher: Any = SimpleNamespace(
        sweep=SimpleNamespace(objective=OBJECTIVE), begin=lambda *_: "run", epoch=lambda *_: None,
        finish=lambda *_: None,
    )  # fmt: skip
    ledger = TrialLedger(trials, publisher)
    for number, cell in enumerate(make_cells(toy().base, {"latent_dim": (2, 3)}, 2)):
        ledger.begin(cell)
        ledger.epoch(EpochEnd(cell.config.key, 1, {OBJECTIVE: -90.0 - number}))
        ledger._write_epochs(cell.config.key)
        ledger._close_trial(ledger._open.pop(cell.config.key), -90.0 - number)
    search = searching().search
    assert search is not None
    found = open_study(storage, f"{name}/search", search, 1)
    trial = found.ask()
    trial.set_user_attr("name", "learning_rate=0.01, minibatch=30")
    found.tell(trial, -80.0)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return the journal of a sweep of the study `toy`."""
    path = tmp_path / "optuna" / "toy" / "mnist-5k.journal"
    path.parent.mkdir(parents=True)
    record_trials(optuna_storage(str(path)), "mnist-5k")
    return path


@contextmanager
def serving(trials: dashboard.ShownTrials) -> Iterator[Callable[..., Any]]:
    """Serve the pages of some trials; yield a function that asks for a path."""
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed (the extra dashboard)")
    with dashboard.make_server(trials, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def ask(path: str, method: str = "GET", **body: Any) -> Any:
            url = f"http://127.0.0.1:{server.server_address[1]}{path}"
            data = json.dumps(body).encode() if method != "GET" else None
            request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
            with urllib.request.urlopen(request, timeout=20) as answer:
                content = answer.read()
            return json.loads(content) if path.startswith("/api") else content.decode()

        try:
            yield ask
        finally:
            server.shutdown()
            thread.join()


def attributes(trial: dict[str, Any]) -> dict[str, str]:
    """Return the user attributes of a trial in an answer."""
    return {each["key"]: each["value"] for each in trial["user_attrs"]}


def test_the_pages_of_a_journal(journal: Path) -> None:
    stored = journal.read_bytes()
    with serving(dashboard.journal_trials(journal)) as ask:
        grid, search = ask("/api/studies")["study_summaries"]
        assert [grid["study_name"], search["study_name"]] == ["toy/mnist-5k", "toy/mnist-5k/search"]
        found = ask(f"/api/studies/{grid['study_id']}")
        assert found["name"] == "toy/mnist-5k"
        assert found["objective_names"] == [OBJECTIVE]
        assert found["has_intermediate_values"]
        assert [attributes(trial)["cell"] for trial in found["trials"]] == [
            *("latent_dim=2, seed=7", "latent_dim=2, seed=8", "latent_dim=2, seed=0", "latent_dim=3, seed=0"),
            *("latent_dim=2, seed=1", "latent_dim=3, seed=1"),
        ]
        assert [attributes(trial)["seed"] for trial in found["trials"]] == ["7", "8", "0", "0", "1", "1"]
        assert {param["name"] for trial in found["trials"] for param in trial["params"]} == {"latent_dim"}
        assert found["trials"][3]["intermediate_values"] == [{"step": 1, "value": -91.0}]
        assert [each["name"] for each in found["union_search_space"]] == ["latent_dim"]
        (importances,) = ask(f"/api/studies/{grid['study_id']}/param_importances")["param_importances"]
        assert [each["name"] for each in importances] == ["latent_dim"]
        found = ask(f"/api/studies/{search['study_id']}")
        assert found["objective_names"] == [OBJECTIVE]
        assert attributes(found["trials"][0])["name"] == "learning_rate=0.01, minibatch=30"
        assert "latent_dim=3, seed=1" in ask(f"/csv/{grid['study_id']}")
        assert "<html" in ask("/dashboard")
    assert journal.read_bytes() == stored
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]


def test_importances_where_trials_have_no_parameters(journal: Path) -> None:
    storage = optuna_storage(str(journal))
    trials = open_trials(storage, "bare", OBJECTIVE)
    for value in (1.0, 2.0, 3.0):
        trials.add_trial(create_trial(value=value, user_attrs={"cell": "seed=0"}))
    with serving(dashboard.journal_trials(journal)) as ask:
        assert ask(f"/api/studies/{trials._study_id}/param_importances") == {"param_importances": [[]]}


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/api/studies/0"), ("POST", "/api/trials/0/tell"), ("PUT", "/api/studies/0/note")],
)
def test_what_would_change_the_journal_is_refused(method: str, path: str, journal: Path) -> None:
    stored = journal.read_bytes()
    with serving(dashboard.journal_trials(journal)) as ask:
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            ask(path, method, state="fail", version=1, body="x")
        assert "only reads" in json.loads(caught.value.read())["reason"]
    assert journal.read_bytes() == stored


def test_no_method_of_the_storage_writes(journal: Path) -> None:
    """A study opened on it cannot be changed by any way that Optuna has."""
    stored = journal.read_bytes()
    study = optuna.load_study(study_name="toy/mnist-5k", storage=dashboard.journal_trials(journal))
    changes: list[Callable[[], Any]] = [
        lambda: study.ask(),
        lambda: study.tell(0, 1.0, skip_if_finished=False),
        lambda: study.set_user_attr("a", 1),
        lambda: study.add_trial(study.trials[0]),
        lambda: optuna.delete_study(study_name="toy/mnist-5k", storage=study._storage),
        lambda: optuna.create_study(study_name="new", storage=study._storage),
    ]
    for change in changes:
        with pytest.raises((dashboard.NothingIsWritten, ValueError)):
            change()
    assert journal.read_bytes() == stored


def test_the_pages_follow_a_running_driver(journal: Path) -> None:
    trials = dashboard.journal_trials(journal)
    (grid, _) = trials.get_all_studies()
    before = len(trials.get_all_trials(grid._study_id))
    open_trials(optuna_storage(str(journal)), "mnist-5k", OBJECTIVE).add_trial(create_trial(state=TrialState.RUNNING))
    assert len(trials.get_all_trials(grid._study_id)) == before + 1


def test_a_damaged_journal(journal: Path) -> None:
    journal.write_bytes(b"{\n" + journal.read_bytes())
    with pytest.raises(BadInput, match=r"mnist-5k\.journal is damaged"):
        dashboard.journal_trials(journal)


def test_the_command_chooses_a_sweep(
    mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest sweep of the study is shown, or the one that is named."""
    for age, name in enumerate(["toy/mnist", "toy/mnist~2", "toy/quick-mnist", "another/mnist"]):
        path = mlruns / "optuna" / f"{name}.journal"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    shown: list[str] = []

    class Fake:
        def __enter__(self) -> Fake:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def serve_forever(self) -> None:
            pass

    monkeypatch.setattr(dashboard, "make_server", lambda trials, port: shown.append(trials._prefix) or Fake())
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(command, "require_free", lambda port: None)
    monkeypatch.setenv(project.PROJECT_VARIABLE, str(mlruns))
    for flags, text in {
        "": "toy, sweep mnist; --sweep shows another: mnist~2, quick-mnist",
        "toy --sweep mnist~2": "toy, sweep mnist~2; --sweep shows another: mnist, quick-mnist",
        "another": "another, sweep mnist  (Ctrl-C",
    }.items():
        assert main(["dashboard", *flags.split(), "--port", "8123"]) == 0
        line = capsys.readouterr().out
        assert text in line
        assert line.startswith("http://127.0.0.1:8123  ")
    assert shown == ["toy/", "toy/", "another/"]
    for flags, parts in {
        "toy --sweep mnst": ["sweep of toy 'mnst'", "did you mean 'mnist'", "mnist, mnist~2, quick-mnist"],
        "anothr": ["unknown study 'anothr'", "did you mean 'another'", "another, toy"],
    }.items():
        assert main(["dashboard", *flags.split()]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert all(part in line for part in parts), line


def test_the_extra_is_not_installed(
    journal: Path, mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (mlruns / "optuna" / "toy").mkdir(parents=True)
    (mlruns / "optuna" / "toy" / "mnist.journal").touch()
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(command, "require_free", lambda port: None)
    monkeypatch.setattr(command.project, "checkout", lambda: Path(__file__).parents[2])
    assert main(["dashboard"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "optuna-dashboard is not installed; install it: make install, or pip install --constraint" in line
