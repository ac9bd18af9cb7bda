"""Test that trouble with the tracker is answered in one line: it is down, locked, damaged, or no tracker at all."""

from __future__ import annotations

import http.server
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
import pytest

from tests.support.processes import free_port
from tests.support.studies import run_study, toy
from vaestudy.cli.main import main
from vaestudy.errors import NoTracker
from vaestudy.runtime import addresses
from vaestudy.tracking import database_checks
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.unavailable import reaching_tracker

RUN = "0123456789abcdef0123456789abcdef"
COMMANDS = (["tables"], ["evaluate", RUN], ["sync"], ["ui"], ["train"], ["train", "--from", RUN], ["study"])


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(database_checks, "LOCK_SECONDS", 0.1)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a tracker without runs."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    Tracker(addresses.database_uri(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def optuna_database(path: Path, empty: Path) -> None:
    optuna.create_study(storage=f"sqlite:///{path}")


def other_program(path: Path, empty: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE experiments (id INTEGER)")


def torn(path: Path, empty: Path) -> None:
    content = empty.read_bytes()
    path.write_bytes(content[: len(content) // 3])


def overwritten(path: Path, empty: Path) -> None:
    content = empty.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


def later_version(path: Path, empty: Path) -> None:
    shutil.copyfile(empty, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


def earlier_version(path: Path, empty: Path) -> None:
    shutil.copyfile(empty, path)
    known = sorted(database_checks.schema_versions())
    with closing(sqlite3.connect(path)) as connection, connection:
        (now,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        before = next(version for version in known if version != now)
        connection.execute("UPDATE alembic_version SET version_num = ?", (before,))


BROKEN = (other_program, torn, overwritten, later_version, earlier_version)


def run(command: list[str], uri: str) -> int:
    """Run a command of vaestudy, or a study, with a tracker; return the exit code."""
    if command == ["study"]:
        return run_study(toy(), "--seeds", "1", "--tracking-uri", uri)
    flags = ["--dataset", "mnist-5k", "--subset", "60", "--epochs", "1"] if command == ["train"] else []
    if command == ["ui"]:
        flags = ["--port", str(free_port())]
    return main([*command, *flags, "--tracking-uri", uri])


def require_one_line(err: str) -> None:
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1, err


@pytest.mark.parametrize(
    ("make", "command"),
    [(optuna_database, command) for command in COMMANDS]
    + [(make, command) for make in BROKEN for command in (["tables"], ["ui"])],
    ids=lambda value: value[0] if isinstance(value, list) else value.__name__,
)
def test_a_database_that_is_no_tracker(
    make, command: list[str], tmp_path: Path, empty: Path, mlruns: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("os.execve", lambda *arguments: (_ for _ in ()).throw(AssertionError("the pages were served")))
    path = tmp_path / "store" / "a.db"
    path.parent.mkdir()
    make(path, empty)
    before = path.read_bytes()
    code = run(command, addresses.database_uri(path))
    if command == ["sync"]:  # nothing waits, so the tracker is not needed
        assert code == 0
    else:
        assert code == 2
        require_one_line(capsys.readouterr().err)
    assert path.read_bytes() == before
    assert not list(mlruns.rglob("*.journal"))
    assert not list(mlruns.rglob("entry.json"))


@contextmanager
def web_server(code: int, body: bytes) -> Iterator[str]:
    """Run a web server that is not MLflow; yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *arguments: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


ANSWERS = [(200, b"<html>hello</html>"), (404, b"<html>not found</html>"), (501, b"no"), (401, b"no")]


@pytest.mark.parametrize(
    ("answer", "command"),
    [(ANSWERS[0], command) for command in COMMANDS] + [(answer, ["tables"]) for answer in ANSWERS[1:]],
    ids=lambda value: str(value[0]),
)
def test_a_web_server_that_is_not_mlflow(
    answer: tuple[int, bytes], command: list[str], mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with web_server(*answer) as address:
        code = run(command, address)
    if command == ["sync"]:  # nothing waits, so the tracker is not needed
        assert code == 0
    else:
        assert code == 2
        require_one_line(capsys.readouterr().err)
    assert not list(mlruns.rglob("entry.json"))


@pytest.mark.parametrize("command", [["tables"], ["evaluate", RUN], ["ui"]], ids=lambda c: c[0])
def test_a_database_that_is_locked(
    command: list[str], tmp_path: Path, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "locked.db"
    shutil.copyfile(empty, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        assert run(command, addresses.database_uri(path)) == 2
    err = capsys.readouterr().err
    require_one_line(err)
    assert "locked" in err


def test_a_tracker_that_is_down(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    for command in (["tables"], ["evaluate", RUN], ["sync"], ["ui"]):
        assert run(command, uri) == 2
        require_one_line(capsys.readouterr().err)


def test_the_tracker_goes_at_the_end_of_a_study(
    mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All runs are done; the tables can be exported later."""

    @reaching_tracker
    def away(self: Tracker, run_id: str, name: str) -> bytes:
        raise OSError("connection lost")

    with monkeypatch.context() as patched:
        patched.setattr(Tracker, "read_file", away)
        assert run_study(toy(), "--seeds", "1") == 1
    err = capsys.readouterr().err
    assert "all runs are done, but the tables need the tracker, which is out of reach (connection lost)" in err
    assert "Traceback" not in err
    assert main(["tables"]) == 0
    assert (mlruns / "tables" / "toy" / "table.csv").exists()


def test_a_finished_study_whose_tracker_is_down(mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    assert run_study(toy(), "--seeds", "1") == 0

    @reaching_tracker
    def away(self: Tracker, uri: str) -> None:
        raise OSError("connection lost")

    monkeypatch.setattr(Tracker, "__init__", away)
    assert run_study(toy(), "--seeds", "1") == 1
    err = capsys.readouterr().err
    assert "2 runs, 2 done" in err
    assert "`vaestudy tables toy` exports them" in err


def test_evaluate_of_deleted_runs(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["train", "--dataset", "mnist-5k", "--subset", "60", "--epochs", "1", "--figures", "reconstructions"]) == 0
    )
    tracker = Tracker(addresses.tracking_uri(None))
    experiment = tracker.experiments()["train"]
    (run_id,) = tracker.runs(experiment)["run_id"]
    assert tracker.full_run_id(run_id[:6]) == run_id
    tracker.client.delete_run(run_id)
    capsys.readouterr()
    for name in (run_id, run_id[:8]):
        assert main(["evaluate", name]) == 2
        err = capsys.readouterr().err
        assert "was deleted in MLflow" in err
        require_one_line(err)
    tracker.client.restore_run(run_id)
    tracker.client.delete_experiment(experiment)
    assert main(["evaluate", run_id]) == 2
    assert "was deleted in MLflow" in capsys.readouterr().err
    assert main(["evaluate", "x%' OR '1"]) == 2
    assert "must be the id of a run" in capsys.readouterr().err


def test_runs_are_found_by_their_first_digits(empty: Path, tmp_path: Path) -> None:
    """Also those that have no files; and no run of another program, or of a whole sweep."""
    path = tmp_path / "mlflow.db"
    assert database_checks.runs_beginning_with(path, "0") == []
    assert not path.exists()
    shutil.copyfile(empty, path)
    tracker = Tracker(addresses.database_uri(path))
    ours = sorted(tracker.start("0", "r", {"config.key": "k"}) for _ in range(2))
    other = tracker.start("0", "r", {"role": "study"})
    assert sorted(database_checks.runs_beginning_with(path, "")) == ours
    for run_id in ours:
        for digits in (run_id[:12], run_id):
            assert database_checks.runs_beginning_with(path, digits) == [run_id]
    assert database_checks.runs_beginning_with(path, other) == []


def test_a_database_of_another_program_has_no_runs(empty: Path, tmp_path: Path) -> None:
    other_program(tmp_path / "a.db", empty)
    with pytest.raises(NoTracker, match="another program"):
        database_checks.runs_beginning_with(tmp_path / "a.db", "0")
