"""The generation of a sweep that a command runs: its newest, a new one, or one under the sweep's former name.

A sweep is found under its name, or under the name that earlier revisions gave it (`study/sweep.py`). One former name
can stand for several sweeps. So the base configuration that was recorded decides to which one a generation belongs:

* Under the former name, a generation belongs to the sweep if its base configuration is the same in every field.
* Under the sweep's own name, it belongs to the sweep unless it differs in a field that the command sets. Other fields
  may differ: then the study's declaration has changed, and the publisher says what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from vaestudy.errors import BadInput
from vaestudy.study.sweep import Sweep
from vaestudy.sweep.trial_storage import TrialStorage
from vaestudy.tracking.sweep_bases import recorded_bases


@contextmanager
def locked_generation(
    storage: TrialStorage, sweep: Sweep, uri: str, fresh: bool, report: Callable[[str], None]
) -> Iterator[str]:
    """Lock a sweep while the block runs, and yield the name of the generation to run.

    Args:
        storage: the storage of the sweep's trials.
        sweep: the sweep.
        uri: the address of the tracker.
        fresh: begin a new generation.
        report: receives messages for the user, one line each.

    Raises:
        BadInput: another driver has locked the sweep; or there are generations under the former name, and the tracker,
            which knows their base configurations, does not answer.
    """
    with ExitStack() as locks:
        locks.enter_context(storage.locked(sweep.base_name))
        yield _generation(
            storage, sweep, uri, fresh, report, lambda former: locks.enter_context(storage.locked(former))
        )


def generation_name(storage: TrialStorage, sweep: Sweep, uri: str, fresh: bool, report: Callable[[str], None]) -> str:
    """Return the name of the generation that `locked_generation` would yield now. Nothing is locked.

    Raises:
        BadInput: as in `locked_generation`, but for a driver that has locked the sweep.
    """
    return _generation(storage, sweep, uri, fresh, report, lambda former: None)


def _generation(
    storage: TrialStorage,
    sweep: Sweep,
    uri: str,
    fresh: bool,
    report: Callable[[str], None],
    lock: Callable[[str], None],
) -> str:
    """Return the name of the generation to run.

    Args:
        lock: locks the sweep under its former name, if its generations are there.
    """
    name, former = sweep.base_name, sweep.former_name
    formers = storage.sweep_names(former) if former != name else []
    if mine := _same_base(formers, sweep, uri, report):
        lock(former)
        return latest_name(storage.sweep_names(former), mine, former, fresh)
    generations = storage.sweep_names(name)
    return latest_name(generations, _same_changes(generations, sweep, uri, report), name, fresh)


def _same_base(generations: list[str], sweep: Sweep, uri: str, report: Callable[[str], None]) -> list[str]:
    """Return the generations under the former name that were made with the sweep's base configuration.

    Raises:
        BadInput: the tracker, which knows that, does not answer.
    """
    if not generations:
        return []
    bases, answered = recorded_bases(uri, sweep.study.name, report)
    base = sweep.base.model_dump(mode="json")
    mine = [generation for generation in generations if bases.get(generation) == base]
    if not mine and not answered and not set(generations) <= set(bases):
        raise BadInput(
            f"sweep {sweep.former_name} may be this one under its former name; the tracker, which knows its base "
            "configuration, does not answer; try again when it does"
        )
    return mine


def _same_changes(generations: list[str], sweep: Sweep, uri: str, report: Callable[[str], None]) -> list[str]:
    """Return the generations under the sweep's own name that differ in no field that the command sets."""
    if not generations or not sweep.changed:
        return generations
    bases, _ = recorded_bases(uri, sweep.study.name, report)
    moved = {"dataset"} if sweep.base.data_digest else set()  # its digest is a part of the sweep's name
    changes = sweep.base.model_dump(mode="json", include=set(sweep.changed) - moved)
    return [g for g in generations if g not in bases or changes.items() <= bases[g].items()]


def latest_name(generations: list[str], mine: list[str], base_name: str, fresh: bool) -> str:
    """Return the name of a sweep's newest generation, or of a new one if `fresh` or if there is none.

    Args:
        generations: all generations that have the base name.
        mine: those that belong to the sweep.
        base_name: the name without the number of a generation.
        fresh: begin a new generation.
    """
    numbers = [_number(name, base_name) for name in (generations if fresh or not mine else mine)]
    newest = max(numbers, default=0) + (1 if fresh or not mine else 0)
    return base_name if newest == 1 else f"{base_name}~{newest}"


def _number(name: str, base_name: str) -> int:
    """Return the number of a generation."""
    return 1 if name == base_name else int(name.removeprefix(f"{base_name}~"))
