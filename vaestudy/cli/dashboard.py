"""The command `vaestudy dashboard`: finds the trials that are to be shown, and serves the pages of optuna-dashboard."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaestudy.cli.flags import Parser
from vaestudy.cli.parsing import add_location_flags, port_of, require_free
from vaestudy.errors import BadInput, unknown_name
from vaestudy.runtime import addresses, project
from vaestudy.study import discovery
from vaestudy.sweep.trial_storage import journal_folder


def dashboard_command(arguments: list[str]) -> int:
    """serve Optuna's web pages, which show the trials of a study's sweep"""
    parser = Parser("vaestudy dashboard", "Serve optuna-dashboard on this machine. It shows the trials of a sweep.")
    parser.add_argument("study", nargs="?", metavar="STUDY", help="The study [default: the one that was run last]")
    parser.add_argument("--sweep", metavar="NAME", help="The sweep of the study [default: the one that was run last]")
    parser.add_argument("--port", metavar="N", help="Port of the server [default: 8080]")
    parser.add_argument("--storage", metavar="URI", help="Database of the trials, postgresql://... [default: mlruns/]")
    add_location_flags(parser, "tracking_uri")
    values = parser.parse(arguments)
    port = port_of(values, "8080")
    study, sweep = values.get("study"), values.get("sweep")
    if sweep is not None and study is None:
        raise BadInput(f"--sweep {sweep}: only with STUDY")
    study = study and study.replace("_", "-")
    open_trials, what = _source(values, study, sweep)
    require_free(port)
    _require_installed()

    from vaestudy.sweep import dashboard

    with dashboard.make_server(open_trials(), port) as server:
        print(f"http://{dashboard.HOST}:{port}  {what}  (Ctrl-C ends it)", flush=True)
        server.serve_forever()
    return 0


def _source(values: dict[str, Any], study: str | None, sweep: str | None) -> tuple[Callable[[], Any], str]:
    """Return a function that opens the trials, and what they are, for the user.

    Raises:
        BadInput: the address is not valid, or there are no such trials.
    """
    if (address := values.get("storage")) is not None:
        if "tracking_uri" in values:
            raise BadInput("--tracking-uri: not with --storage, which holds the trials of all trackers")
        try:
            uri = addresses.storage_address(address)
        except addresses.BadAddress as error:
            raise BadInput(f"--storage {error}") from None

        def from_database() -> Any:
            from vaestudy.sweep import dashboard

            return dashboard.database_trials(uri, study, sweep)

        return from_database, "/".join(filter(None, (study, sweep))) or "all studies"
    tracker = addresses.tracking_uri(values.get("tracking_uri"), must_answer=False)
    journal, others = find_journal(journal_folder(tracker), study, sweep)

    def from_journal() -> Any:
        from vaestudy.sweep import dashboard

        return dashboard.journal_trials(journal)

    more = f"; --sweep shows another: {', '.join(others)}" if others else ""
    return from_journal, f"{journal.parent.name}, sweep {journal.stem}{more}"


def find_journal(folder: Path, study: str | None, sweep: str | None) -> tuple[Path, list[str]]:
    """Return the journal of a study's sweep, and the names of the study's other sweeps.

    Args:
        folder: the folder with a folder of journals for each study.
        study: the study; None means the one whose trials were written last.
        sweep: the sweep; None means the one whose trials were written last.

    Raises:
        BadInput: there is none; the message lists what there is.
    """
    journals = sorted(folder.glob("*/*.journal"), key=lambda path: path.stat().st_mtime)
    if study is not None:
        recorded = {path.parent.name for path in journals}
        declared = {each.name for each in discovery.study_files(project.studies_folder())}
        if study not in recorded | declared:
            raise BadInput(unknown_name("study", study, sorted(recorded or declared)))
        journals = [path for path in journals if path.parent.name == study]
    if not journals:
        name = study or "latent-dims"
        raise BadInput(f"no trials {f'of {study} ' if study else ''}are recorded under {folder} yet; "
                       f"run a study first, e.g. {project.study_command(name)}")  # fmt: skip
    chosen = journals[-1]
    sweeps = sorted(path.stem for path in journals if path.parent == chosen.parent)
    if sweep is not None:
        if sweep not in sweeps:
            raise BadInput(unknown_name(f"sweep of {chosen.parent.name}", sweep, sweeps))
        chosen = chosen.parent / f"{sweep}.journal"
    return chosen, [name for name in sweeps if name != chosen.stem]


def _require_installed() -> None:
    """Raise unless optuna-dashboard is installed.

    Raises:
        BadInput: it is not; the message says how to install it.
    """
    if importlib.util.find_spec("optuna_dashboard") is not None:
        return
    how = "pip install 'vaestudy[dashboard]'"
    if project.is_checkout(project.checkout()):
        how = "make install, or pip install --constraint constraints.txt --editable '.[dashboard]'"
    raise BadInput(f"the package optuna-dashboard is not installed; install it: {how}")
