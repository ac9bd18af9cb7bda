"""Test what waits in the outbox: what is no entry, entries of several trackers, and what MLflow does not accept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.robustness.operations import CONFIG, RECORD, STUDY
from vaestudy.cli.main import main
from vaestudy.errors import BadInput, TrackerUnavailable
from vaestudy.runtime import addresses, paths
from vaestudy.study.sweep import NO_SWEEP, Sweep, single_run
from vaestudy.tracking import outbox
from vaestudy.tracking.delivery import sync
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.publisher import Publisher
from vaestudy.tracking.unavailable import RecordRefused


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """Return the address of a new tracker in a file."""
    return addresses.database_uri(tmp_path / "tracker" / "mlflow.db")


def publisher(uri: str, name: str = "mnist-5k") -> Publisher:
    """Return the publisher of a sweep of one cell, or of a single run."""
    sweep = single_run(RECORD.config) if name == NO_SWEEP else Sweep(STUDY, CONFIG, {}, quick=False, note=None)
    return Publisher(uri, sweep, name, print)


def leave_waiting(uri: str, monkeypatch: pytest.MonkeyPatch, name: str = "mnist-5k") -> None:
    """Finish a run while its tracker is out of reach."""

    def away(self: Tracker, uri: str) -> None:
        raise TrackerUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(Tracker, "__init__", away)
        sender = publisher(uri, name)
        with sender.owning_records():
            sender.begin("cell", RECORD.config, {})
            assert sender.finish(RECORD.config.key, RECORD) is None
            sender.close("FINISHED")


def finished(uri: str, study: str = "operations") -> list[dict[str, object]]:
    """Return the finished runs of cells."""
    tracker = Tracker(uri)
    runs = tracker.runs(tracker.experiments()[study])
    rows = runs[(runs["status"] == "FINISHED") & (runs["tags.role"] != "study")].to_dict("records")
    for row in rows:
        assert tracker.read_file(str(row["run_id"]), "weights.safetensors") == RECORD.files["weights.safetensors"]
    return rows


def empty_folder(root: Path) -> Path:
    (root / "study-sweep-key").mkdir()
    return root / "study-sweep-key"


def finder_file(root: Path) -> Path:
    (root / ".DS_Store").write_bytes(b"\0\1")
    return root / ".DS_Store"


def half_removed(root: Path) -> Path:
    """What earlier revisions left if they were killed while they deleted an entry."""
    entry = next(path for path in root.iterdir() if path.is_dir())
    copy = root / "half"
    shutil.copytree(entry, copy)
    shutil.rmtree(copy / "files")
    return copy


def torn(root: Path) -> Path:
    entry = next(path for path in root.iterdir() if path.is_dir())
    shutil.copytree(entry, root / "torn")
    (root / "torn" / "entry.json").write_text('{"uri": ')
    return root / "torn"


def cut(root: Path) -> Path:
    entry = next(path for path in root.iterdir() if path.is_dir())
    shutil.copytree(entry, root / "cut")
    (root / "cut" / "files" / "weights.safetensors").write_bytes(b"weig")
    return root / "cut"


def of_another_kind(root: Path) -> Path:
    (root / "other").mkdir()
    (root / "other" / "entry.json").write_text(json.dumps(["a list"]))
    return root / "other"


@pytest.mark.parametrize(
    ("make", "former"),
    [(make, False) for make in (empty_folder, finder_file, half_removed, torn, cut, of_another_kind)]
    + [(half_removed, True)],
)
def test_what_is_no_entry_is_set_aside_and_stops_nothing(
    make: Callable[[Path], Path], former: bool, uri: str, mlruns: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_waiting(uri, monkeypatch)
    if former:
        (mlruns / "outbox").rename(mlruns / "spool")
    root = mlruns / ("spool" if former else "outbox")
    damaged = make(root)
    assert main(["sync"]) == 0
    captured = capsys.readouterr()
    assert "1 results delivered, 0 waiting" in captured.out
    (line,) = [line for line in captured.err.splitlines() if damaged.name in line]
    assert "no result that can be published" in line
    assert (root / "set-aside" / damaged.name).exists()
    assert len(finished(uri)) == 1
    assert main(["sync"]) == 0
    assert damaged.name not in capsys.readouterr().err  # named once


def test_what_kills_left_is_deleted(uri: str, mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_waiting(uri, monkeypatch)
    (folder, entry), *_ = outbox.waiting_entries(print)
    shutil.copytree(folder, folder.with_name(folder.name + ".removed"))
    part = folder.with_name(folder.name + ".part")
    shutil.copytree(folder, part)
    with outbox.owned(entry.owner):
        outbox.discard_leftovers()
        assert part.exists()  # its owner is alive, and may be writing it
    assert sync(uri, print) == (1, 0)
    assert list((mlruns / "outbox").iterdir()) == []


def test_results_for_two_trackers_wait_side_by_side(
    uri: str, tmp_path: Path, mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = addresses.database_uri(tmp_path / "other" / "mlflow.db")
    for address in (uri, other):
        leave_waiting(address, monkeypatch)
    assert [len(outbox.waiting_entries(print, address)) for address in (uri, other)] == [1, 1]
    assert sync(None, print) == (2, 0)
    assert [len(finished(address)) for address in (uri, other)] == [1, 1]


def test_two_single_runs_of_one_configuration_are_both_delivered(
    uri: str, mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_waiting(uri, monkeypatch, NO_SWEEP)
    finish = Tracker.finish

    def while_a_second_run_ends(self: Tracker, *arguments: object) -> None:
        monkeypatch.setattr(Tracker, "finish", finish)
        leave_waiting(uri, monkeypatch, NO_SWEEP)
        finish(self, *arguments)

    monkeypatch.setattr(Tracker, "finish", while_a_second_run_ends)
    assert sync(uri, print) == (1, 0)
    assert sync(uri, print) == (1, 0)
    assert len(finished(uri, "train")) == 2
    assert sync(uri, print) == (0, 0)


def test_sync_beside_a_driver_leaves_its_sweep_alone(
    uri: str, mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_waiting(uri, monkeypatch)
    sender = publisher(uri)
    with sender.owning_records():
        sweep_run = sender.destination().sweep_run
        assert sync(uri, print) == (0, 1)
        assert "is being run; 1 of its results are delivered by that process" in capsys.readouterr().out
        assert Tracker(uri).get(sweep_run)["status"] == "RUNNING"
        assert sender.publish_waiting() == 1
        sender.close("FINISHED")
    assert len(finished(uri)) == 1
    assert Tracker(uri).get(sweep_run)["status"] == "FINISHED"


def test_the_lock_of_an_owner_is_the_same_for_every_temporary_folder(
    uri: str, mlruns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user, or a service with a folder of its own for temporary files, delivers nothing a second time."""
    leave_waiting(uri, monkeypatch)
    with publisher(uri).owning_records():
        monkeypatch.setattr(outbox, "user_temporary", lambda name: tmp_path / "another" / name)
        assert sync(uri, print) == (0, 1)
    assert sync(uri, print) == (1, 0)


def test_a_place_for_locks_that_cannot_be_used(uri: str, mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two places is enough; without any, nothing is delivered, and one line says so."""
    leave_waiting(uri, monkeypatch)
    shutil.rmtree(mlruns / "locks")
    (mlruns / "locks").touch()
    reported: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "user_temporary", lambda name: mlruns / "locks" / name)
        assert sync(uri, reported.append) == (0, 1)
        with pytest.raises(BadInput, match="no lock can be made"), publisher(uri).owning_records():
            raise AssertionError("a driver without a lock")
    assert len(reported) == 1
    assert "no lock can be made" in reported[0]
    assert sync(uri, print) == (1, 0)


def test_a_driver_does_not_begin_while_its_results_are_delivered(
    uri: str, mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaestudy.tracking.publisher.OWNER_WAIT_SECONDS", 0.1)
    owner = outbox.sweep_owner(uri, STUDY.name, "mnist-5k")
    with outbox.owned(owner), pytest.raises(BadInput, match="by another process"), \
            publisher(uri).owning_records():  # fmt: skip
        raise AssertionError("two processes own the same results")


def test_sync_delivers_what_it_can_and_names_the_rest(
    uri: str, tmp_path: Path, mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first group's experiment is in MLflow's trash, the second's server is down; the third is delivered."""
    leave_waiting(uri, monkeypatch)
    leave_waiting("http://127.0.0.1:9", monkeypatch)
    other = addresses.database_uri(tmp_path / "z-other" / "mlflow.db")
    leave_waiting(other, monkeypatch)
    tracker = Tracker(uri)
    experiment = tracker.create_experiment("operations", "", {"study": "operations"})
    tracker.client.delete_experiment(experiment)
    assert main(["sync"]) == 1
    captured = capsys.readouterr()
    assert "1 results delivered, 2 waiting" in captured.out
    assert "experiment 'operations' is in MLflow's trash" in captured.err
    assert "1 results wait for http://127.0.0.1:9" in captured.err
    assert len(captured.err.splitlines()) == 2
    assert len(finished(other)) == 1
    tracker.client.restore_experiment(experiment)
    assert main(["sync", "--tracking-uri", uri]) == 0
    assert len(finished(uri)) == 1


def test_a_record_that_mlflow_refuses_does_not_block_the_others(
    uri: str, mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        leave_waiting(uri, monkeypatch, NO_SWEEP)
    finish, refused = Tracker.finish, next(entry.id for _, entry in outbox.waiting_entries(print))

    def picky(self: Tracker, run_id: str, record: object, files: object, record_id: str) -> None:
        if record_id == refused:
            raise RecordRefused("a value is too long")
        finish(self, run_id, record, files, record_id)

    monkeypatch.setattr(Tracker, "finish", picky)
    assert main(["sync"]) == 1
    captured = capsys.readouterr()
    assert "1 results delivered, 1 waiting" in captured.out
    assert "a value is too long" in captured.err
    monkeypatch.setattr(Tracker, "finish", finish)
    assert main(["sync"]) == 0
    assert len(finished(uri, "train")) == 2


def test_a_password_is_not_stored_and_asked_for(
    mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_waiting("http://me:secret@127.0.0.1:9", monkeypatch)
    ((folder, entry),) = outbox.waiting_entries(print)
    assert "secret" not in (folder / "entry.json").read_text()
    assert entry.uri == "http://127.0.0.1:9"
    assert len(outbox.waiting_entries(print, "http://me:other@127.0.0.1:9")) == 1
    assert sync(None, print) == (0, 1)
    assert "give it by --tracking-uri" in capsys.readouterr().out
    seen = []
    monkeypatch.setattr(Tracker, "__init__", lambda self, uri: seen.append(uri) or (_ for _ in ()).throw(
        TrackerUnavailable("down")))  # fmt: skip
    assert sync("http://me:secret@127.0.0.1:9", print) == (0, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    assert sync(None, print) == (0, 1)
    assert seen == ["http://me:secret@127.0.0.1:9"] * 2


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 12345"), OSError("no user")])
def test_a_user_without_a_name(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user id has no entry in the list of users."""

    def nameless() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nameless)
    assert paths.user_temporary("outbox").name.startswith("vaestudy-outbox-")
    assert len(outbox.roots()) == 2
