"""A run under way, on disk: weights, optimiser, position. A run that is killed goes on from its last epoch.

Nothing else is needed for a bit-identical trajectory, since all noise of an epoch is named by seed and epoch
(`noise.py`). A file is safetensors (no pickle) followed by its SHA-256: a torn one is seen, and the one before it used.
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
KEPT = 2  # of one run: the newest, and one more in case that is torn
RUNS = 100  # folders of runs under way kept on one machine; the oldest go first
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stood after an epoch."""

    epoch: int
    tensors: dict[str, Tensor]
    extra: dict[str, Any]
    """History and clocks: what JSON can hold."""


class CheckpointStore:
    """Keeps the states of one run in a folder of its own."""

    def __init__(self, root: Path, key: str) -> None:
        self.folder = root / key
        self.interval = float(os.environ.get(SECONDS_VARIABLE, DEFAULT_SECONDS))
        self.warnings: list[str] = []
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to save again; how often is a matter of cost and changes no result."""
        return time.monotonic() - self._last >= self.interval

    def save(self, state: Checkpoint) -> None:
        """Write a state whole or not at all, and drop all but the newest KEPT."""
        self._make_room()
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
        self._last = time.monotonic()

    def load(self) -> Checkpoint | None:
        """The newest state that is whole; torn ones are passed over with a remark."""
        for path in self._files():
            content = path.read_bytes()
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
        """Forget the run: it is recorded elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.ckpt"), reverse=True)

    def _make_room(self) -> None:
        if not self.folder.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            folders = sorted(self.folder.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in folders[RUNS:]:
                shutil.rmtree(old, ignore_errors=True)


def state_tensors(model: nn.Module, optimizer: optim.Optimizer) -> dict[str, Tensor]:
    """Weights and the optimiser's moments by name."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
    return tensors


def load_state_tensors(tensors: dict[str, Tensor], model: nn.Module, optimizer: optim.Optimizer) -> None:
    """Put back what `gather` took."""
    weights = {name.removeprefix("model/"): value for name, value in tensors.items() if name.startswith("model/")}
    model.load_state_dict(weights)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
