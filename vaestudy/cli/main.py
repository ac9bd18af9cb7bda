"""The command `vaestudy` and its subcommands. torch and mlflow are imported only after the input is found to be valid.

Exit codes: 0 done, 1 the work failed, 2 the input cannot be used (one line gives the reason), 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from vaestudy.cli.ais_flags import add_ais_flags, take_ais_options
from vaestudy.cli.article import article_command
from vaestudy.cli.check import check_command
from vaestudy.cli.compare import compare_command
from vaestudy.cli.config_flags import add_config_flags
from vaestudy.cli.dashboard import dashboard_command
from vaestudy.cli.export import export_command
from vaestudy.cli.flags import Parser, flag, split_lists, wants_help
from vaestudy.cli.new_project import new_command
from vaestudy.cli.one_value import one_value_in_run, several_values
from vaestudy.cli.parsing import (
    add_location_flags,
    data_root_of,
    port_of,
    require_cuda_driver,
    require_free,
    run_guarded,
)
from vaestudy.cli.repeat import add_repeat_flags, require_only_repeat_flags
from vaestudy.cli.reproduce import reproduce_command
from vaestudy.cli.runs import runs_command
from vaestudy.cli.short_help import Entry
from vaestudy.cli.tables import tables_command
from vaestudy.config.fields import Counts
from vaestudy.config.messages import validated
from vaestudy.config.presets import PRESETS
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name
from vaestudy.runtime import addresses, project
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.runtime.open_page import has_browser, open_when_served
from vaestudy.study import discovery
from vaestudy.tracking.database_checks import require_records
from vaestudy.tracking.run_ids import require_known_run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `vaestudy`; return the exit code.

    Args:
        arguments: the command line without the program's name [default: that of this process].
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    return run_guarded("vaestudy", lambda: _dispatch(_with_project(given)))


def _with_project(arguments: list[str]) -> list[str]:
    """Return the arguments without `--project DIR`, wherever it stands. Its folder becomes the project.

    Raises:
        BadInput: there is no such folder, or none is named.
    """
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        name, equals, folder = argument.partition("=")
        if name != "--project":
            rest.append(argument)
        elif folder := folder if equals else next(left, ""):
            project.choose_project(folder)
        else:
            raise BadInput("--project: needs a folder")
    return rest


def _dispatch(arguments: list[str]) -> int:
    """Run the subcommand that the first argument names; return the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"vaestudy {version('vaestudy')}")
        return 0
    if arguments[0] not in COMMANDS:
        raise BadInput(unknown_name("command", arguments[0], COMMANDS))
    return COMMANDS[arguments[0]](arguments[1:])


def _overview() -> str:
    """Return the list of all subcommands, with their docstrings."""
    lines = [f"  {name:<11}{command.__doc__ or ''}" for name, command in COMMANDS.items()]
    head = "usage: vaestudy [--project DIR] COMMAND [FLAGS]\n\n"
    head += "Variational auto-encoders, trained, scored and compared.\n\n"
    return head + "\n".join(lines) + "\n\n`vaestudy COMMAND --help` lists a command's flags."


def train_command(arguments: list[str]) -> int:
    """train, score and track one VAE"""
    parser = _train_parser(_preset_in(arguments) if wants_help(arguments) else None)
    if any(argument.split("=")[0] == "--factor" for argument in arguments):
        raise BadInput("--factor: is a flag of studies: `vaestudy run STUDY --factor FIELD=LEVEL,LEVEL`")
    values = split_lists(parser.parse(arguments))
    require_only_repeat_flags(values)
    as_json, preset = values.pop("json", False), values.pop("preset", None)
    _require_preset(preset)
    if several := several_values(values):
        raise BadInput(one_value_in_run(*several))
    named_root, uri = data_root_of(values), addresses.tracking_uri(values.pop("tracking_uri", None))
    if "from" in values:
        return _train_again(
            str(values["from"]), named_root, uri, "any_revision" in values, as_json, values.get("dataset")
        )
    config = validated(RunConfig, PRESETS.get(preset or "", {}) | values, flag)
    require_cuda_driver(config.device)
    from vaestudy.data.datasets import resolve
    from vaestudy.training import memory

    if config.device == "cpu":
        memory.require_memory([config])

    config, note = resolve(config, named_root)
    with gc_paused():
        from vaestudy.cli import commands

    return commands.train_and_track(config, named_root, uri, note, as_json)


def _train_parser(preset: str | None) -> Parser:
    """Return the parser of the flags of `vaestudy train`.

    Args:
        preset: the preset whose values are the defaults in the help; None for those of `RunConfig`.
    """
    about = "Train one VAE, score it on test, and track it in MLflow."
    about += f" The defaults are those of the preset {preset}." if preset else ""
    parser = Parser("vaestudy train", about, about)
    parser.answer_second_values(one_value_in_run)
    text = "Start from a published protocol"
    group = parser.group("run")
    group.add_argument("--preset", metavar="NAME", help=f"{text}: {', '.join(PRESETS)}")
    parser.add_entry(Entry("run", "--preset", "NAME", f"{text}: {', '.join(PRESETS)}"))
    add_repeat_flags(parser, "run")
    group.add_argument("--json", action="store_true", help="Print one JSON object as the last line")
    parser.add_entry(Entry("run", "--json", ""))
    add_config_flags(parser, RunConfig().model_dump() | PRESETS.get(preset or "", {}))
    add_location_flags(parser, "data_dir", "tracking_uri")
    return parser


def _preset_in(arguments: list[str]) -> str | None:
    """Return the preset that a command line names beside a request for help; None if it names none.

    Raises:
        BadInput: there is no such preset.
    """
    names = [word.partition("=")[2] for word in arguments if word.startswith("--preset=")]
    names += [name for word, name in pairwise(arguments) if word == "--preset" and not name.startswith("-")]
    preset = next(iter(names), None)
    _require_preset(preset)
    return preset


def _require_preset(name: str | None) -> None:
    """Raise if a preset does not exist.

    Raises:
        BadInput: it does not.
    """
    if name is not None and name not in PRESETS:
        raise BadInput(unknown_name("preset", name, PRESETS))


def _train_again(run: str, root: Path, uri: str, any_revision: bool, as_json: bool, dataset: str | None) -> int:
    """Train a tracked run again; return the exit code."""
    require_known_run(run, uri)
    with gc_paused():
        from vaestudy.cli import commands

    return commands.train_again(run, root, uri, any_revision, as_json, dataset)


def evaluate_command(arguments: list[str]) -> int:
    """score a tracked run again, or score further bounds"""
    parser = Parser("vaestudy evaluate", "Score a tracked run on test again. New bounds are added to the run.")
    run_help = "The run's id, or the first digits of the id; without it, the latest runs are listed"
    parser.add_argument("run", nargs="?", metavar="RUN", help=run_help)
    parser.add_argument("--iwae", nargs="+", metavar="K", help="The K of importance-weighted bounds to add")
    add_ais_flags(parser)
    add_location_flags(parser, "data_dir", "tracking_uri")
    parser.add_argument("--json", action="store_true", help="Print one JSON object as the last line")
    values = split_lists(parser.parse(arguments))
    ais = take_ais_options(values)
    iwae: Counts | None = None
    if "iwae" in values:
        from vaestudy.training import memory

        wanted = validated(RunConfig, {"iwae": values["iwae"]}, flag)
        memory.require_memory([wanted])
        iwae = wanted.iwae
    root, uri = data_root_of(values), addresses.tracking_uri(values.get("tracking_uri"))
    if "run" not in values:
        return _show_latest_runs(uri)
    run_id = str(values["run"])
    require_known_run(run_id, uri)
    with gc_paused():
        from vaestudy.cli import commands

    return commands.score_again(run_id, iwae, ais, root, uri, values.get("json", False))


def _show_latest_runs(uri: str) -> NoReturn:
    """List the latest finished runs, then raise the error for a run that is not named.

    Raises:
        BadInput: always, as nothing is evaluated.
    """
    try:
        require_records(uri)
    except BadInput as error:
        raise BadInput(f"evaluate: needs a RUN, but {error}") from None
    with gc_paused():
        from vaestudy.cli import runs_work

    shown = runs_work.show_latest(uri)
    if not shown:
        at = addresses.public_address(uri)
        raise BadInput(f"evaluate: needs a RUN, but no run has finished at {at}; {project.first_steps()}")
    raise BadInput(
        f"evaluate: needs a RUN: the first digits of an id, e.g. `vaestudy evaluate {shown}`; `vaestudy runs` lists all"
    )


def sync_command(arguments: list[str]) -> int:
    """publish results that wait on disk because the tracker was out of reach"""
    parser = Parser("vaestudy sync", "Publish results that wait on disk because the tracker was out of reach.")
    add_location_flags(parser, "tracking_uri")
    values = parser.parse(arguments)
    named = values.get("tracking_uri")
    uri = addresses.tracking_uri(named) if named is not None else None
    with gc_paused():
        from vaestudy.cli import commands

    return commands.publish_waiting(uri)


def studies_command(arguments: list[str]) -> int:
    """list the studies, with their questions and expected minutes"""
    Parser("vaestudy studies", "List the studies.").parse(arguments)
    if not (found := discovery.study_files(project.studies_folder())):
        print(project.first_steps())
    for study in found:
        command = project.study_command(study.name)
        print(f"{study.name:<16} {study.question}\n{'':<16} minutes: {study.minutes}\n{'':<16} {command}")
    return 0


def run_command(arguments: list[str]) -> int:
    """run a study of this project; its flags follow the name"""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: vaestudy run STUDY [FLAGS]\n\nRun a study. `vaestudy studies` lists the studies.")
        print("`vaestudy run STUDY --help` lists the flags of one.")
        return 0
    file = discovery.find_study(project.studies_folder(), arguments[0]).path
    project.choose_project(str(project.project()))
    os.execv(sys.executable, [sys.executable, str(file), *arguments[1:]])


def ui_command(arguments: list[str]) -> int:
    """serve MLflow's web pages, which show the tracked runs"""
    about = "Serve MLflow's web pages on this machine, and open them in a browser. They show the tracked runs."
    parser = Parser("vaestudy ui", about)
    parser.add_argument("--port", metavar="N", help="Port of the server [default: 5000]")
    parser.add_argument("--no-browser", action="store_true", help="Open no browser; print the address only")
    add_location_flags(parser, "tracking_uri")
    values = parser.parse(arguments)
    port = port_of(values, "5000")
    uri = addresses.tracking_uri(values.get("tracking_uri"))
    if addresses.is_server(uri):
        raise BadInput(f"{addresses.public_address(uri)} serves MLflow's pages already; open it in a browser")
    require_free(port)
    require_records(uri)
    if addresses.database_file(uri) is None:
        from vaestudy.tracking.mlflow_tracker import Tracker

        Tracker(uri)  # MLflow's server would answer with a traceback
    # One worker and no job runner need a quarter of the memory, and the server is ready in a third of the time.
    small = {"MLFLOW_WORKERS": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    # In the environment, as all users of the machine may read a command line, and the address may hold a password.
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    # The address of the pages for trained models. MLflow's start page is that for language models.
    page = f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning"
    print(f"{page}  (Ctrl-C ends it)", flush=True)
    if not values.get("no_browser") and has_browser():
        open_when_served(page, port)
    os.execve(sys.executable, command, small | dict(os.environ) | {"MLFLOW_BACKEND_STORE_URI": uri})


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "new": new_command,
    "train": train_command,
    "run": run_command,
    "check": check_command,
    "evaluate": evaluate_command,
    "tables": tables_command,
    "runs": runs_command,
    "compare": compare_command,
    "export": export_command,
    "article": article_command,
    "reproduce": reproduce_command,
    "sync": sync_command,
    "studies": studies_command,
    "ui": ui_command,
    "dashboard": dashboard_command,
}
"""Name of a subcommand -> the function that runs it. The overview prints the function's docstring."""
