"""The memory estimate against a real process, and which runs are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.runtime import free_memory
from vaestudy.training import memory

RUN = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from vaestudy.data import datasets
from vaestudy.config.run_config import RunConfig
from vaestudy.training.train import train
config = RunConfig(dataset="mnist-5k", valid_size=500, epochs=1, figures=(), **json.loads(sys.argv[1]))
train(config, datasets.load_splits(config, Path()))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_m_1000_with_l_50_stays_below_a_gibibyte_and_a_half() -> None:
    """All draws at once would take 5 GiB. The objective is dreg, because its weights couple all draws."""
    peak = peak_of(subset=1000, minibatch=1000, samples=50, estimator="dreg")
    assert peak < 1.5 * 2**30
    config = RunConfig(dataset="mnist-5k", minibatch=1000, samples=50)
    assert peak < 1.1 * sum(memory.estimate_bytes(config).values())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_conv_with_more_draws_than_it_keeps_stays_below_its_estimate() -> None:
    changes = {"architecture": "conv", "minibatch": 100, "samples": 40}
    config = RunConfig(dataset="mnist-5k", **changes)
    assert peak_of(subset=100, **changes) < 1.1 * sum(memory.estimate_bytes(config).values()) < 1.5 * 2**30


def peak_of(**changes: object) -> int:
    """Return the largest memory, in bytes, of a process that trains a configuration for an epoch."""
    code = [sys.executable, "-c", RUN, json.dumps(changes)]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


def test_grows_with_what_grows() -> None:
    def of(**changes: object) -> int:
        return sum(memory.estimate_bytes(RunConfig(dataset="mnist", **changes)).values())

    assert of() < of(samples=50) < of(samples=50, minibatch=1000) < of(samples=5_000, minibatch=1000)
    assert of(hidden=(256,)) < of(hidden=(4096,))
    assert of() < of(architecture="conv")
    assert of(minibatch=60_000) == of(minibatch=10**9)  # no more than the data set has
    assert of(samples=1000) < of(samples=1000, gradient_images=100)


def test_a_limit_of_the_group_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "CGROUP", tmp_path)
    free = memory.available()
    assert free > 2**20
    (tmp_path / "memory.max").write_text(f"{2**20}\n")
    (tmp_path / "memory.current").write_text(f"{2**19}\n")
    assert memory.available() == 2**19
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available() > 2**20


def test_several_runs_at_once_share_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RunConfig(dataset="mnist")
    need = sum(memory.estimate_bytes(config).values())
    monkeypatch.setattr(memory, "available", lambda: 2 * need)
    memory.require_memory([config], at_once=2)
    with pytest.raises(BadInput, match=r"3 at once.* GiB .* are available"):
        memory.require_memory([config], at_once=3)
