"""Test Optuna's trials in a PostgreSQL database that the tests start, and in a journal where both must do the same.

Two drivers with two workers each share the database; a second driver on the same sweep is refused.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from tests.robustness.faults import STUDY
from tests.robustness.search_records import faults, searches_of
from tests.support.formula_runs import formula_run
from tests.support.processes import free_port
from tests.support.studies import run_study, searching, toy
from vaestudy.cli import commands
from vaestudy.cli.main import main
from vaestudy.config.registry import LIKELIHOODS, LikelihoodSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.study.declaration import Levels, make_cells
from vaestudy.sweep import worker_pool
from vaestudy.sweep.dashboard import database_trials
from vaestudy.sweep.trial_ledger import TrialLedger, open_trials, optuna_storage
from vaestudy.sweep.trial_storage import DatabaseTrialStorage, JournalTrialStorage
from vaestudy.tracking.mlflow_tracker import Tracker

BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Start a new PostgreSQL server on the loopback interface; return the URI of its database."""
    pytest.importorskip("psycopg")
    binaries = BIN[-1] if BIN else Path(shutil.which("initdb") or "/nowhere/initdb").parent
    if not (binaries / "initdb").exists():
        pytest.skip("no PostgreSQL server is installed")
    root = os.geteuid() == 0
    if root and subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if root:
        shutil.chown(folder, "postgres", "postgres")
    port = free_port()

    def run(*command: str) -> None:
        prefix = ["runuser", "-u", "postgres", "--"] if root else []
        subprocess.run([*prefix, *command], check=True, capture_output=True, cwd=folder)

    owner = "postgres" if root else getpass.getuser()
    run(str(binaries / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", owner)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://{owner}@127.0.0.1:{port}/postgres"
    finally:
        run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def command(folder: Path, name: str, database: str) -> list[str]:
    script = folder / f"{name}.py"
    study = STUDY.replace('name="faults"', f'name="{name}"')
    script.write_text(study.replace("epochs=12", "epochs=2").replace("seeds=3", "seeds=1"))
    return [sys.executable, str(script), "--storage", database, "--workers", "2"]


@pytest.mark.slow
def test_two_drivers_and_four_workers(database: str, tmp_path: Path, empty_store: Path) -> None:
    drivers = [
        subprocess.Popen(command(tmp_path, name, database), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    for driver in drivers:
        _, err = driver.communicate(timeout=300)
        assert driver.returncode == 0, err
    tracker = Tracker(addresses.tracking_uri(None))
    for name in ("one", "two"):
        runs = tracker.runs(tracker.experiments()[name], {"role": "trial"})
        assert len(runs) == 4
        assert set(runs["status"]) == {"FINISHED"}
        assert runs["tags.config.key"].is_unique
        trials = optuna.load_study(study_name=f"{name}/mnist-5k", storage=database).trials
        assert Counter(t.state.name for t in trials) == {"COMPLETE": 4}
    again = subprocess.run(command(tmp_path, "one", database), capture_output=True, text=True, check=False)
    assert "4 runs, 4 done" in again.stderr
    assert not list(empty_store.glob("optuna/*"))


def test_the_second_driver_is_told_who_the_first_is(database: str) -> None:
    first, second = DatabaseTrialStorage(database, "study"), DatabaseTrialStorage(database, "study")
    with first.locked("mnist"):
        with pytest.raises(BadInput, match=rf"study study \(mnist\) is being run by vaestudy process {os.getpid()} on"):
            second.locked("mnist").__enter__()
        with second.locked("another"):
            pass
    with second.locked("mnist"):
        pass


def test_a_database_that_is_not_there() -> None:
    with pytest.raises(BadInput, match=r"--storage postgresql://127.0.0.1:9/x: cannot be used") as caught:
        DatabaseTrialStorage("postgresql://me:secret@127.0.0.1:9/x", "study")
    assert "secret" not in str(caught.value)


@pytest.fixture
def another(database: str) -> Iterator[str]:
    """Return the address of an empty database on the same server."""
    engine = sqlalchemy.create_engine(database, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("create database another"))
    yield database.rpartition("/")[0] + "/another"
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("drop database another with (force)"))


def table_names(uri: str) -> list[str]:
    """Return the names of a database's tables."""
    engine = sqlalchemy.create_engine(uri)
    try:
        return sqlalchemy.inspect(engine).get_table_names()
    finally:
        engine.dispose()


@pytest.mark.parametrize("spelling", ["127.0.0.1", "localhost"])
def test_one_database_for_the_tracker_and_the_trials(
    spelling: str, another: str, mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused while it is empty, whatever it is called, as MLflow and Optuna would spoil each other's tables."""
    tracker = another.replace("127.0.0.1", spelling)
    assert run_study(toy(), "--storage", another, "--tracking-uri", tracker) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is the tracker's database, too" in line
    assert not table_names(another)
    assert not mlruns.exists()


def test_the_tracker_in_the_database_of_the_trials(
    another: str, mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MLflow is not asked: it would add its first tables before it notices."""
    open_trials(optuna_storage(another), "toy/mnist-5k", "train/elbo")
    before = table_names(another)
    assert run_study(toy(), "--tracking-uri", another) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is the database of another program, not of MLflow" in line
    assert main(["ui", "--port", str(free_port()), "--tracking-uri", another]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is the database of another program, not of MLflow" in line
    assert table_names(another) == before


@pytest.mark.parametrize("tables", [["alembic_version", "experiments"], ["studies"]])
def test_trials_in_a_database_of_another_program(
    tables: list[str], another: str, mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = sqlalchemy.create_engine(another)
    with engine.begin() as connection:
        for name in tables:
            connection.execute(sqlalchemy.text(f"create table {name} (version_num text)"))
    engine.dispose()
    assert run_study(toy(), "--storage", another) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is the database of another program" in line
    assert sorted(table_names(another)) == tables
    assert not mlruns.exists()


def test_trials_of_another_version_of_optuna(another: str, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_trials(optuna_storage(another), "toy/mnist-5k", "train/elbo")
    engine = sqlalchemy.create_engine(another)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("update alembic_version set version_num = 'v0.9.0.a'"))
    engine.dispose()
    assert run_study(toy(), "--storage", another) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is of another version of Optuna" in line
    assert not mlruns.exists()


def test_a_journal_that_cannot_be_written(
    mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder may be another user's, or its disk full. Root may write everywhere, so here a folder is in the way."""
    folder = mlruns / "optuna" / "toy"
    for name in ("mnist-5k.lock", "mnist-5k.owner"):
        (folder / name).mkdir(parents=True)
        assert run_study(toy(), "--seeds", "1") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot be written" in line
        assert str(folder) in line
        (folder / name).rmdir()
    (folder / "mnist-5k.journal").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith(".journal"))
    with pytest.raises(BadInput, match="journal cannot be written to"):
        JournalTrialStorage(folder).repair("mnist-5k")


def test_the_dashboard_of_a_database(another: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It shows the trials of one study or of all; neither the pages nor the connection can write."""
    with pytest.raises(BadInput, match="no trials are recorded there yet"):
        database_trials(another, None, None)
    assert not table_names(another)
    storage = optuna_storage(another)
    for name in ("toy/mnist-5k", "toy/mnist-5k/search", "toy/mnist-5k~2", "other/mnist-5k"):
        trials = open_trials(storage, name, "train/elbo")
    begin_cells(trials, {"latent_dim": (2, 3)}, toy().base)

    def names(study: str | None, sweep: str | None) -> list[str]:
        return [each.study_name for each in database_trials(another, study, sweep).get_all_studies()]

    assert names("toy", None) == ["toy/mnist-5k", "toy/mnist-5k/search", "toy/mnist-5k~2"]
    assert names("toy", "mnist-5k") == ["toy/mnist-5k", "toy/mnist-5k/search"]
    shown = database_trials(another, "other", None)
    (study,) = shown.get_all_studies()
    assert [trial.user_attrs["seed"] for trial in shown.get_all_trials(study._study_id)] == [0, 0]
    with pytest.raises(optuna.exceptions.StorageInternalError):
        shown._stored.set_study_user_attr(study._study_id, "a", 1)
    for study_name, sweep in (("toi", None), ("toy", "mnist")):
        with pytest.raises(BadInput, match="unknown"):
            database_trials(another, study_name, sweep)


EXTENDED: list[tuple[str, Levels, Levels, RunConfig]] = [
    ("float-and-int", {"learning_rate": (1e-3, 1)}, {"learning_rate": (2, 0.5)}, toy().base),
    ("int-first", {"learning_rate": (1, 2)}, {"learning_rate": (0.25,)}, toy().base),
    ("any-size-of-float", {"likelihood_floor": (0.0, 5e-324)}, {"likelihood_floor": (1e-300,)},
     toy().base.with_changes(likelihood="gaussian", pixels="dequantised")),
    ("large-floats", {"learning_rate": (1e-3, 1e12)}, {"learning_rate": (1e300,)}, toy().base),
    ("lists", {"hidden": ((16,), (16, 8))}, {"hidden": ((24,), (24, 24, 24))}, toy().base),
    ("large-integers", {"latent_dim": (2, 2**31 - 1)}, {"latent_dim": (2**31 - 2,)}, toy().base),
    ("optional-integer", {"epochs": (1, 2)}, {"epochs": (3,)}, toy().base),
    ("optional-float", {"init_sigma": (1, 0.5)}, {"init_sigma": (2,)}, toy().base),
    ("true-or-false", {"second_biases": (True,)}, {"second_biases": (False,)}, toy().base),
    ("names", {"sigma": ("raw",)}, {"sigma": ("abs", "log-variance")}, toy().base),
    ("free-text", {"device": ("cpu",)}, {"device": ("cuda:0",)}, toy().base),
]  # fmt: skip
"""Name, levels of the first execution, further levels of the second, and the base configuration."""


@pytest.fixture(params=["journal", "database"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return Optuna's storage of one kind: a journal, or the database."""
    if request.param == "journal":
        return optuna_storage(JournalTrialStorage(tmp_path / "levels").location("mnist").address)
    return optuna_storage(request.getfixturevalue("database"))


def study_in(storage: Any, name: str) -> optuna.Study:
    """Return Optuna's study `name`; create it if it does not exist."""
    return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)


def begin_cells(trials: optuna.Study, levels: Levels, base: RunConfig) -> None:
    """Open a trial for each cell of a declared study, as a driver that has just started does."""
    study = toy(base=base, factors=levels, full={}, baseline={name: values[0] for name, values in levels.items()})
    publisher: Any = SimpleNamespace(sweep=None, begin=lambda *arguments: None)
    ledger = TrialLedger(trials, publisher)
    for cell in make_cells(base, study.factors, 1):
        ledger.begin(cell)


def test_the_levels_of_a_factor_may_be_extended(storage: Any) -> None:
    """Every kind of level is taken by both stores, and so are levels that are added later."""
    for name, first, second, base in EXTENDED:
        study = study_in(storage, name)
        begin_cells(study, first, base)
        begin_cells(study, second, base)
        trials = study.trials
        (factor,) = first
        assert len({trial.user_attrs["cell"] for trial in trials}) == len(first[factor]) + len(second[factor]), name
        kinds = {(key, type(kind)) for trial in trials for key, kind in trial.distributions.items()}
        assert len(kinds) == len({key for key, _ in kinds}), f"{name}: two types of one parameter"


def test_trials_of_an_earlier_revision_are_extended(storage: Any) -> None:
    """Their distributions depended on the declared levels; a level that does not fit gets no parameter."""
    former: list[tuple[Any, BaseDistribution, Levels]] = [
        ("16", CategoricalDistribution(["16", "16x8"]), {"hidden": ((16,), (24,))}),
        (1, IntDistribution(0, 2**31 - 1), {"learning_rate": (1, 1e-3)}),
        (1e-3, FloatDistribution(-(2**31), 2**31), {"learning_rate": (1e-3, 1e12)}),
        ("cpu", CategoricalDistribution(["cpu"]), {"device": ("cpu", "cuda:0")}),
    ]
    for number, (value, distribution, levels) in enumerate(former):
        study = study_in(storage, f"former{number}")
        (factor,) = levels
        space = {factor: distribution, "seed": IntDistribution(0, 2**31 - 1)}
        params = {factor: value, "seed": 1}
        study.add_trial(create_trial(state=TrialState.RUNNING, params=params, distributions=space))
        begin_cells(study, levels, toy().base)
        assert study.trials[0].params == params
        assert [trial.user_attrs["cell"].partition("=")[0] for trial in study.trials[1:]] == [factor] * 2


def test_a_name_that_was_registered_later(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_in(storage, "later")
    begin_cells(study, {"likelihood": ("bernoulli",)}, toy().base)
    known = dict(LIKELIHOODS) | {"laplace": LikelihoodSpec("laplace", "nowhere:Laplace", family="bernoulli")}
    monkeypatch.setattr(LIKELIHOODS, "_specs", known)
    begin_cells(study, {"likelihood": ("laplace",)}, toy().base)
    cells = [trial.user_attrs["cell"] for trial in study.trials]
    assert cells == ["likelihood=bernoulli, seed=0", "likelihood=laplace, seed=0"]
    assert [trial.params.get("likelihood") for trial in study.trials] == ["bernoulli", None]


def test_a_search_with_two_trials_at_once(database: str, mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is interrupted in between; then the same command completes both records."""
    monkeypatch.setattr(commands, "_show_results", lambda to, out: None)
    monkeypatch.setattr(worker_pool.InlinePool, "count", 2)
    study = searching({"trials": 6, "pruner": "HyperbandPruner"}, base=toy().base.with_changes(epochs=9), seeds=1)
    runs = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal runs
        runs += 1
        if runs == 4:
            raise KeyboardInterrupt
        return formula_run(*arguments)

    monkeypatch.setattr(worker_pool, "run_safely", interrupted)
    assert run_study(study, "--storage", database) == 130
    assert run_study(study, "--storage", database) == 0
    found = searches_of(optuna.storages.RDBStorage(database), "toy-search/mnist-5k")
    assert [len(trials) for trials in found.values()] == [6]
    assert faults(mlruns, "toy-search", "mnist-5k", 6, found) == []
