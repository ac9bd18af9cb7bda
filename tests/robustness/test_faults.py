"""Two kills by the fault harness, for CI (`make test-faults` makes 200), and the repair of a torn journal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.robustness.faults import campaign
from vaestudy.sweep.trial_storage import repair


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds workers by way of /proc")
def test_a_kill(tmp_path: Path) -> None:
    """`make test-faults` kills 200 times."""
    tally = campaign(1, seed=7, folder=tmp_path)
    assert tally.kills.total() == 1
    assert tally.clean, tally.table()


@pytest.mark.parametrize(
    ("torn", "kept"),
    [
        (b'{"a":1}\n{"b":2}\n', 16),
        (b'{"a":1}\n{"b":', 8),
        (b'{"a":1}\n{"b":2}', 8),
        (b'{"a":1}\n\x00\x00\x00\n', 8),
        (b'{"a":1}\n{"br\n{"b":2}\n', 8),
        (b'{"a":1}\n5\n{"b":2}\n', 8),
        (b'{"a"', 0),
        (b"", 0),
    ],
)
def test_a_torn_journal_is_mended(tmp_path: Path, torn: bytes, kept: int) -> None:
    journal = tmp_path / "sweep.journal"
    journal.write_bytes(torn)
    (tmp_path / "sweep.journal.lock").symlink_to(journal)  # what Optuna leaves after a kill -9
    remark = repair(journal)
    assert journal.read_bytes() == torn[:kept]
    assert (remark is None) == (kept == len(torn))
    if remark:
        assert "torn" in remark
        assert (tmp_path / "sweep.torn").read_bytes() == torn[kept:]
    assert not (tmp_path / "sweep.journal.lock").is_symlink()
