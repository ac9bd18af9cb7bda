"""Serves the pages of optuna-dashboard, which show the trials of a sweep, on this machine only.

Nothing is written to the storage, whatever the pages send: a driver may be writing to it at the same time. Trials and
names are shown in a form that is easier to read; what is stored stays as it is.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from vaestudy.errors import BadInput, unknown_name
from vaestudy.runtime.credentials import shown, without_credentials
from vaestudy.sweep.trial_ledger import WRITE_ERRORS, optuna_storage
from vaestudy.sweep.trial_storage import require_own_database

HOST = "127.0.0.1"
SEED = "seed"
JSON = ("Content-Type", "application/json")
LARGEST_BODY = 2**20
"""The number of bytes of a request that are read before it is refused."""
IMPORTANCES = re.compile(r"/api/studies/([0-9]{1,9})/param_importances/?")
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A web application by the protocol WSGI."""


class NothingIsWritten(Exception):
    """The dashboard was asked to change the storage."""


def _refuse(*_: Any, **__: Any) -> Any:
    """Refuse to change the storage.

    Raises:
        NothingIsWritten: always.
    """
    raise NothingIsWritten("the dashboard only reads the trials")


class ShownTrials(BaseStorage):
    """The trials of a storage, to be read.

    The seed of a trial of a cell is shown as an attribute, also if it was stored as a parameter by an earlier revision:
    a seed is not among the importances of parameters.

    Args:
        stored: Optuna's storage.
        prefix: stands before the names of Optuna's studies, where the stored names do not contain the study's name.
        within: show only Optuna's studies of this name, or whose name begins with it and a slash; empty: show all.
    """

    def __init__(self, stored: BaseStorage, prefix: str = "", within: str = "") -> None:
        self._stored, self._prefix, self._within = stored, prefix, within

    create_new_study = delete_study = set_study_user_attr = set_study_system_attr = _refuse
    create_new_trial = set_trial_param = set_trial_state_values = set_trial_intermediate_value = _refuse
    set_trial_user_attr = set_trial_system_attr = _refuse

    def get_all_studies(self) -> list[Any]:
        found = [study for study in self._stored.get_all_studies() if self._is_shown(study.study_name)]
        for study in found:
            study.study_name = self._prefix + study.study_name
        return sorted(found, key=lambda study: study._study_id)

    def _is_shown(self, name: str) -> bool:
        """Return whether the study of Optuna with this stored name is shown."""
        return not self._within or name == self._within or name.startswith(f"{self._within}/")

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._stored.get_study_id_from_name(study_name.removeprefix(self._prefix))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._prefix + self._stored.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._stored.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._stored.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._stored.get_study_system_attrs(study_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return readable(self._stored.get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [readable(trial) for trial in self._stored.get_all_trials(study_id, deepcopy, states)]


def readable(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial of a cell with the seed as an attribute; any other trial is returned as it is."""
    if "cell" not in trial.user_attrs or SEED not in trial.params:
        return trial
    made = copy.copy(trial)
    made.params = {name: value for name, value in trial.params.items() if name != SEED}
    made.distributions = {name: kind for name, kind in trial.distributions.items() if name != SEED}
    made.user_attrs = {"cell": trial.user_attrs["cell"], SEED: trial.params[SEED]} | trial.user_attrs
    return made


def journal_trials(journal: Path) -> ShownTrials:
    """Return the trials in the journal file of a study's sweep.

    Raises:
        BadInput: the journal cannot be read.
    """
    try:
        return ShownTrials(optuna_storage(str(journal)), prefix=f"{journal.parent.name}/")
    except OSError as error:
        raise BadInput(f"{journal} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadInput(f"{journal} is damaged; the next start of the study repairs it") from None


def database_trials(uri: str, study: str | None, sweep: str | None) -> ShownTrials:
    """Return the trials in a PostgreSQL database.

    Args:
        uri: its address.
        study: show this study only.
        sweep: show this sweep of the study only.

    Raises:
        BadInput: the database cannot be used, or has no trials, no such study or no such sweep.
    """
    require_own_database(uri, "")
    try:
        stored = optuna.storages.RDBStorage(
            uri,
            engine_kwargs={"pool_pre_ping": True, "execution_options": {"postgresql_readonly": True}},
            skip_table_creation=True,
            skip_compatibility_check=True,
        )
        names = [each.study_name.split("/") for each in stored.get_all_studies()]
    except WRITE_ERRORS as error:
        if "UndefinedTable" in (reason := repr(error.__cause__)):
            raise BadInput(f"--storage {shown(uri)}: no trials are recorded there yet; run a study first") from None
        raise BadInput(f"--storage {shown(uri)}: cannot be read ({without_credentials(reason, uri)})") from None
    if study is not None and study not in (studies := sorted({name[0] for name in names})):
        raise BadInput(unknown_name("study", study, studies))
    if sweep is not None and sweep not in (sweeps := sorted({n[1] for n in names if n[0] == study and len(n) > 1})):
        raise BadInput(unknown_name("sweep", sweep, sweeps))
    return ShownTrials(stored, within="/".join(filter(None, (study, sweep))))


class Server(ThreadingMixIn, WSGIServer):
    """A server with a thread for each request: a browser may open a connection and send nothing."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    """Handles requests without a line for each of them."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


def make_server(trials: ShownTrials, port: int) -> Server:
    """Return a server of the dashboard's pages on this machine; the caller lets it serve.

    Args:
        trials: what is shown.
        port: the port; 0 for any that is free.

    Raises:
        BadInput: another program listens on the port.
    """
    import optuna_dashboard

    try:
        server = Server((HOST, port), _Silent)
    except OSError as error:
        raise BadInput(f"--port {port}: cannot be used ({error.strerror})") from None
    server.set_app(read_only(optuna_dashboard.wsgi(trials), trials))
    return server


def read_only(application: Application, trials: ShownTrials) -> Application:
    """Return a web application that refuses the requests that would change something.

    It also answers a request for importances if there are no parameters; optuna-dashboard would divide by 0.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            # A connection that is closed before the body was read is reset, and the client never sees the answer.
            length = environ.get("CONTENT_LENGTH") or "0"
            environ["wsgi.input"].read(min(int(length), LARGEST_BODY) if length.isdecimal() else 0)
            start_response("403 Forbidden", [JSON])
            return [json.dumps({"reason": "vaestudy's dashboard only reads the trials"}).encode()]
        asked = IMPORTANCES.fullmatch(environ["PATH_INFO"])
        if asked and int(asked[1]) in {each._study_id for each in trials.get_all_studies()}:
            number = int(asked[1])
            if not any(trial.params for trial in trials.get_all_trials(number, deepcopy=False)):
                start_response("200 OK", [JSON])
                return [json.dumps({"param_importances": [[] for _ in trials.get_study_directions(number)]}).encode()]
        return application(environ, start_response)

    return answer
