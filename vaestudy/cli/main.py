"""The command line. torch and mlflow are imported only once there is something to run.

Exit codes: 0 done, 1 the work failed, 2 the input cannot be used (one line says why), 130 interrupted.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vaestudy.cli.flags import Parser, add_fields, flag, split_lists
from vaestudy.config.run_config import PRESETS, BadInput, Counts, RunConfig, checked, checked_field, unknown
from vaestudy.runtime import paths
from vaestudy.runtime.gc_pause import uncollected
from vaestudy.runtime.signals import orderly
from vaestudy.study import declaration

TLS = {
    "tls_ca": "Certificate authority of a tls:// scheduler",
    "tls_cert": "Our certificate for a tls:// scheduler",
    "tls_key": "The key of that certificate",
}
PLACES = {
    "data_dir": "Folder of the data sets [default: VAESTUDY_DATA_DIR, else the user's cache]",
    "tracking_uri": "Where runs are tracked [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db]",
}


def main(words: Sequence[str] | None = None) -> int:
    """The `vaestudy` command; its exit code."""
    words = sys.argv[1:] if words is None else list(words)
    return guarded("vaestudy", lambda: _dispatch(words))


def guarded(name: str, work: Callable[[], int]) -> int:
    """Run `work`, turning what the user can mend into one line on stderr. SIGTERM ends it as Ctrl-C does."""
    try:
        with orderly():
            return work()
    except BadInput as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"vaestudy {version('vaestudy')}")
        return 0
    if words[0] not in COMMANDS:
        raise BadInput(unknown("command", words[0], COMMANDS))
    return COMMANDS[words[0]](words[1:])


def _overview() -> str:
    lines = [f"  {name:<10}{command.__doc__ or ''}" for name, command in COMMANDS.items()]
    head = "usage: vaestudy COMMAND [FLAGS]\n\nVariational auto-encoders, trained, scored and compared.\n\n"
    return head + "\n".join(lines) + "\n\n`vaestudy COMMAND --help` lists a command's flags."


def _add_places(parser: Parser, *names: str) -> None:
    group = parser.add_argument_group("places")
    for name in names:
        group.add_argument(flag(name), metavar="PATH" if name == "data_dir" else "URI", help=PLACES[name])


def _data_root(values: dict[str, Any]) -> Path:
    from vaestudy.data.datasets import data_root

    return data_root(Path(values.pop("data_dir")) if "data_dir" in values else None)


def check_driver(device: str) -> None:
    """Refuse `cuda` at once where no driver of the kind is installed; torch itself is asked later.

    Raises:
        BadInput: there is none.
    """
    if not device.startswith("cuda") or Path("/dev/kfd").exists():
        return
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        raise BadInput(f"--device {device}: this machine has no CUDA driver; choose from: cpu") from None


def train(words: list[str]) -> int:
    """train, score and track one VAE"""
    parser = Parser("vaestudy train", "Train one VAE, score it on test, track it in MLflow.")
    parser.add_argument("--preset", metavar="NAME", help=f"Start from a published protocol: {', '.join(PRESETS)}")
    add_fields(parser, RunConfig, "configuration")
    _add_places(parser, "data_dir", "tracking_uri")
    parser.add_argument("--json", action="store_true", help="Print one JSON object as the last line")
    values = split_lists(parser.parse(words))
    as_json, preset = values.pop("json", False), values.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise BadInput(unknown("preset", preset, PRESETS))
    named_root, uri = _data_root(values), paths.tracking_uri(values.pop("tracking_uri", None))
    config = checked(RunConfig, PRESETS.get(preset or "", {}) | values, flag)
    check_driver(config.device)
    from vaestudy.data.datasets import resolve
    from vaestudy.training import memory

    if config.device == "cpu":
        memory.check([config])

    config, note = resolve(config, named_root)
    with uncollected():
        from vaestudy.cli import commands

    return commands.train(config, named_root, uri, note, as_json)


def evaluate(words: list[str]) -> int:
    """score a tracked run again, or by further bounds"""
    parser = Parser("vaestudy evaluate", "Score a tracked run on test again; new bounds are added to the run.")
    parser.add_argument("run", metavar="RUN", help="The run's id, or its first digits")
    parser.add_argument("--iwae", nargs="+", metavar="K", help="The K of importance-weighted bounds to add")
    _add_places(parser, "data_dir", "tracking_uri")
    parser.add_argument("--json", action="store_true", help="Print one JSON object as the last line")
    values = split_lists(parser.parse(words))
    asked: Counts | None = None
    if "iwae" in values:
        asked = checked(RunConfig, {"iwae": values["iwae"]}, flag).iwae
    root, uri = _data_root(values), paths.tracking_uri(values.get("tracking_uri"))
    run_id = _known_run(values["run"], uri)
    with uncollected():
        from vaestudy.cli import commands

    return commands.evaluate(run_id, asked, root, uri, values.get("json", False))


def _known_run(name: str, uri: str) -> str:
    """The full id of the run called `name`, found by its artifacts' folder where those are local."""
    database = paths.database_file(uri)
    if database is None:
        return name
    found = sorted(path.name for path in (database.parent / "artifacts").glob("*/*") if path.name.startswith(name))
    if len(found) != 1:
        raise BadInput(
            f"{'no' if not found else 'more than one'} run {name!r} is tracked under {database.parent}; "
            "`vaestudy ui` or `mlflow ui` shows the ids"
        )
    return found[0]


def tables(words: list[str]) -> int:
    """export every study's tables again from what is tracked"""
    parser = Parser("vaestudy tables", "Export tables (CSV, Markdown, LaTeX, HTML) from what is tracked.")
    parser.add_argument("study", nargs="?", metavar="STUDY", help="One study only [default: all]")
    _add_places(parser, "tracking_uri")
    values = parser.parse(words)
    uri = paths.tracking_uri(values.get("tracking_uri"))
    if "study" in values:
        values["study"] = declaration.find(paths.repository() / "studies", values["study"]).name
    with uncollected():
        from vaestudy.cli import commands

    return commands.tables(uri, values.get("study"))


def sync(words: list[str]) -> int:
    """deliver results that wait on disk for a tracker that was out of reach"""
    parser = Parser("vaestudy sync", "Deliver results that wait on disk for a tracker that was out of reach.")
    _add_places(parser, "tracking_uri")
    values = parser.parse(words)
    named = values.get("tracking_uri")
    uri = paths.tracking_uri(named) if named else None
    with uncollected():
        from vaestudy.cli import commands

    return commands.sync(uri)


def studies(words: list[str]) -> int:
    """list the studies, their questions and expected minutes"""
    Parser("vaestudy studies", "List the studies.").parse(words)
    for study in declaration.listing(paths.repository() / "studies"):
        print(f"{study.name:<16} {study.question}\n{'':<16} {study.minutes}\n{'':<16} make study-{study.name}")
    return 0


def ui(words: list[str]) -> int:
    """serve MLflow's pages over what is tracked"""
    parser = Parser("vaestudy ui", "Serve MLflow's pages on this machine, over what is tracked.")
    parser.add_argument("--port", metavar="N", help="[default: 5000]")
    _add_places(parser, "tracking_uri")
    values = parser.parse(words)
    port = values.get("port", "5000")
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise BadInput(f"--port {port}: must be a whole number from 1 to 65535")
    uri = paths.tracking_uri(values.get("tracking_uri"))
    if (database := paths.database_file(uri)) is not None and not database.exists():
        raise BadInput(f"nothing is tracked at {database} yet; run a study first, e.g. make study-latent-dims")
    # One worker and no job runner: a quarter of the memory, and ready in a third of the time.
    small = {"MLFLOW_WORKERS": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", port]
    print(f"http://127.0.0.1:{port}  (Ctrl-C ends it)", flush=True)
    os.execve(sys.executable, command, small | dict(os.environ))


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": train,
    "evaluate": evaluate,
    "tables": tables,
    "sync": sync,
    "studies": studies,
    "ui": ui,
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
