"""Checkpoints: weights, optimiser state and epoch of a run under way, on disk.

A run that was killed continues from its last checkpoint, with the same bits as without the interruption. No state of
random generators is needed, because the noise of an epoch depends only on the seed and the epoch
(`runtime/random_streams.py`).

A file is a safetensors file (no pickle) followed by its SHA-256. If a file is incomplete or damaged, the digest does
not match, and the checkpoint before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn, optim

SECONDS_VARIABLE = "VAESTUDY_CHECKPOINT_SECONDS"
DEFAULT_SECONDS = 10.0
KEPT = 2  # checkpoints of one run: the newest, and one more in case the newest is damaged
RUNS = 100  # folders of runs under way on one machine; when there are more, the oldest are deleted
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after an epoch."""

    epoch: int
    tensors: dict[str, Tensor]
    """Weights and optimiser state, as `state_tensors` returns them."""
    extra: dict[str, Any]
    """The rest of the state, stored as JSON: history, training seconds and metrics so far."""


class CheckpointStore:
    """A run's checkpoints in one folder."""

    def __init__(self, root: Path, key: str) -> None:
        self.folder = root / key
        self.interval = float(os.environ.get(SECONDS_VARIABLE, DEFAULT_SECONDS))
        self.warnings: list[str] = []
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Return whether the interval since the last save has passed. The interval affects the cost, never a result."""
        return time.monotonic() - self._last >= self.interval

    def save(self, state: Checkpoint) -> None:
        """Write a checkpoint atomically (completely or not at all), and delete all but the newest KEPT.

        If it cannot be written, the run goes on without it, and a line about it is added to `warnings`.
        """
        try:
            self._write(state)
        except OSError as error:  # no room, or no permission
            line = f"no checkpoint could be written to {self.folder} ({error.strerror}): a kill costs the run's epochs"
            if line not in self.warnings:
                self.warnings.append(line)
        self._last = time.monotonic()

    def _write(self, state: Checkpoint) -> None:
        """Write a checkpoint, then delete old ones."""
        self._create_folder()
        meta = {"epoch": str(state.epoch), "extra": json.dumps(state.extra)}
        content = save_tensors(state.tensors, metadata=meta)
        path = self.folder / f"epoch-{state.epoch:08d}.ckpt"
        scratch = path.with_suffix(".part")
        with scratch.open("wb") as file:
            file.write(content + hashlib.sha256(content).digest())
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        for old in self._files()[KEPT:]:
            old.unlink(missing_ok=True)

    def load(self) -> Checkpoint | None:
        """Return the newest checkpoint that is intact, or None if there is none.

        A damaged or unreadable file is skipped, and a line about it is added to `warnings`.
        """
        for path in self._files():
            try:
                content = path.read_bytes()
            except OSError as error:
                self.warnings.append(f"checkpoint {path} cannot be read ({error.strerror})")
                continue
            body, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
            if hashlib.sha256(body).digest() != digest:
                self.warnings.append(f"checkpoint {path} is torn; going back to the one before it")
                continue
            try:
                length = int.from_bytes(body[:8], "little")
                meta = json.loads(body[8 : 8 + length])["__metadata__"]
                return Checkpoint(int(meta["epoch"]), load_tensors(body), json.loads(meta["extra"]))
            except (SafetensorError, KeyError, ValueError) as error:
                self.warnings.append(f"checkpoint {path} cannot be used ({error}); going back to the one before it")
        return None

    def clear(self) -> None:
        """Delete the run's checkpoints. Call this when the run's record is stored elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        """Return the run's checkpoint files, newest first."""
        return sorted(self.folder.glob("epoch-*.ckpt"), reverse=True)

    def _create_folder(self) -> None:
        """Create the run's folder if it does not exist; then delete the oldest folders beyond RUNS."""
        if not self.folder.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            folders = sorted(self.folder.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in folders[RUNS:]:
                shutil.rmtree(old, ignore_errors=True)


def state_tensors(model: nn.Module, optimizer: optim.Optimizer) -> dict[str, Tensor]:
    """Return the weights and the optimiser's state (moments, counters) by name."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
    return tensors


def load_state_tensors(tensors: dict[str, Tensor], model: nn.Module, optimizer: optim.Optimizer) -> None:
    """Load the tensors that `state_tensors` returned into the model and the optimiser."""
    weights = {name.removeprefix("model/"): value for name, value in tensors.items() if name.startswith("model/")}
    model.load_state_dict(weights)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
