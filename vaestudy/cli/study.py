"""TODO"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from vaestudy.cli.flags import Parser, add_fields, flag, split_lists
from vaestudy.cli.parsing import _add_places, _data_root, check_driver, guarded
from vaestudy.config.messages import checked, checked_field
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.runtime import paths
from vaestudy.runtime.gc_pause import uncollected
from vaestudy.study import declaration

TLS = {
    "tls_ca": "Certificate authority of a tls:// scheduler",
    "tls_cert": "Our certificate for a tls:// scheduler",
    "tls_key": "The key of that certificate",
}


def study_main(study: declaration.Study, words: Sequence[str] | None = None) -> int:
    """The command line of one study file; its exit code."""
    words = sys.argv[1:] if words is None else list(words)
    return guarded(f"study {study.name}", lambda: _study(study, list(words)))


def _study(study: declaration.Study, words: list[str]) -> int:
    parser = Parser(f"studies/{study.name.replace('-', '_')}.py", study.doc)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    group = parser.add_argument_group("the study")
    group.add_argument("--quick", action="store_true", help="Shrink to under a minute: a look, not a result")
    group.add_argument("--full", action="store_true", help="Add the costly levels")
    group.add_argument("--fresh", action="store_true", help="Start anew; what is recorded is kept")
    group.add_argument("--seeds", metavar="N", help=f"Number of seeds [default: {study.seeds}]")
    group.add_argument("--workers", metavar="N", help="Processes, a run each [default: the cores; 0: this process]")
    group.add_argument("--retries", metavar="N", help="How often a crashed run is tried again [default: 1]")
    group.add_argument("--scheduler", metavar="URI", help="A Dask cluster that stands: tcp://HOST:PORT or tls://...")
    group.add_argument("--storage", metavar="URI", help="Optuna's trials in postgresql://... [default: under mlruns/]")
    for name, text in TLS.items():
        group.add_argument(flag(name), metavar="FILE", help=text)
    factors = ", ".join(map(flag, study.factors))
    title = f"configuration (overrides the study's base; of its factors, {factors}, several values may be given)"
    add_fields(parser, RunConfig, title, leave={"seed", *study.factors})
    for name in study.factors:
        parser.add_argument(flag(name), nargs="+", metavar="LEVEL", help="Levels of this factor")
    _add_places(parser, "data_dir", "tracking_uri")
    values = split_lists(parser.parse(words))
    options = {name: values.pop(name, False) for name in ("quick", "full", "fresh")}
    least = {"seeds": 1, "workers": 0, "retries": 0}
    numbers = {name: _count(name, values.pop(name), low) for name, low in least.items() if name in values}
    cluster = {name: values.pop(name) for name in ("scheduler", *TLS) if name in values}
    _check_cluster(cluster)
    storage = paths.storage_uri(values.pop("storage", None))
    root, uri = _data_root(values), paths.tracking_uri(values.pop("tracking_uri", None), must_answer=False)
    given: declaration.Levels = {}
    for name in study.factors:
        if name in values:
            given[name] = tuple(dict.fromkeys(checked_field(RunConfig, name, v, flag) for v in values.pop(name)))
    base = checked(RunConfig, study.base.model_dump() | values, flag)
    changed = {name: getattr(base, name) for name in values}
    check_driver(base.device)
    from vaestudy.data.datasets import resolve
    from vaestudy.training import memory

    levels = study.levels(full=options.pop("full"), quick=options["quick"], given=given)
    seeds = numbers.get("seeds", declaration.QUICK_SEEDS if options["quick"] else study.seeds)
    if base.device == "cpu" and "scheduler" not in cluster:  # a cluster's machines have memory of their own
        runs = [cell.config for cell in study.plan(base, levels, 1)]
        memory.check(runs, min(numbers.get("workers", paths.cores()) or 1, seeds * len(runs)))
    base, note = resolve(base, root)
    if options["quick"]:  # what was asked for by name is not shrunk
        base = declaration.quick(base).but(**changed)
    wanted = study.plan(base, levels, seeds)
    with uncollected():
        from vaestudy.cli import commands

    return commands.study(
        study,
        base,
        wanted,
        changed=changed,
        root=root,
        uri=uri,
        storage=storage,
        note=note,
        crew=commands.crew(numbers.get("workers"), numbers.get("retries", 1), cluster),
        **options,
    )


def _count(name: str, text: str, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        raise BadInput(f"--{name} {text}: must be a whole number, {least} or more")
    return int(text)


def _check_cluster(given: dict[str, str]) -> None:
    """Refuse what cannot be a scheduler's address, and files that are not there.

    Raises:
        BadInput: one of these.
    """
    address = given.get("scheduler")
    if address is not None and not re.fullmatch(r"(tcp|tls)://[^/]+:\d+", address):
        raise BadInput(f"--scheduler {address}: must be tcp://HOST:PORT or tls://HOST:PORT")
    for name in TLS.keys() & given.keys():
        if address is None or not address.startswith("tls://"):
            raise BadInput(f"{flag(name)} {given[name]}: goes with --scheduler tls://HOST:PORT")
        if not Path(given[name]).is_file():
            raise BadInput(f"{flag(name)} {given[name]}: no such file")
    if address is not None and address.startswith("tls://") and (missing := TLS.keys() - given.keys()):
        raise BadInput(f"--scheduler {address}: wants {' and '.join(map(flag, sorted(missing)))} too")
    if address is not None:
        paths.check_answers(address, "--scheduler", "scheduler")
