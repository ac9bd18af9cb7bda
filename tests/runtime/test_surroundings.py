"""Test that what other programs set in the environment, a missing home or missing symbolic links do not matter.

Each setting is tried in a process of its own, as most are read when a library is imported. All are set at once for a
whole study with a worker process.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vaestudy.data import datasets
from vaestudy.runtime import project

ROOT = project.repository()
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"}
FOREIGN = ASCII | {
    "MPLBACKEND": "nonsense",
    "COLUMNS": "²",
    "LINES": "-1",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "nonsense",
    "PYTHONWARNINGS": "error",
    "MLFLOW_EXPERIMENT_NAME": "another",
    "MLFLOW_RUN_ID": "0123",
    "MLFLOW_TRACKING_TOKEN": "0123",
    "DASK_CONFIG": "/dev/null/nowhere",
    "DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:9",
    "DASK_DISTRIBUTED__NANNY__PRELOAD": "['nonsense']",
    "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": "['nonsense']",
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
    "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "nonsense",
    "VAESTUDY_MLRUNS": "records",
}
STUDY = """
import os

from tests.support.studies import toy
from vaestudy.cli.study import study_main

def refuse(*_, **__):
    raise OSError(95, "Operation not supported")


os.symlink = os.link = refuse  # as on a file system without links
base = toy().base.with_changes(figures=("reconstructions",))
if __name__ == "__main__":
    raise SystemExit(study_main(toy(base=base, factors={"latent_dim": (2,)}, full={}), ["--workers", "1"]))
"""


def run(code: str, env: dict[str, str], cwd: Path, *flags: str) -> subprocess.CompletedProcess[bytes]:
    """Run code in a process of its own, with settings in its environment that an empty value removes."""
    merged = {name: value for name, value in (os.environ | {"PYTHONPATH": str(ROOT)} | env).items() if value}
    (cwd / "code.py").write_text(textwrap.dedent(code), encoding="utf-8")
    command = [sys.executable, *flags, "code.py"]
    return subprocess.run(command, env=merged, cwd=cwd, capture_output=True, check=False)


@pytest.mark.slow
def test_a_study_among_settings_of_other_programs(tmp_path: Path) -> None:
    """Records go to the folder of the relative VAESTUDY_MLRUNS, and the table is printed in ASCII."""
    done = run(STUDY, FOREIGN, tmp_path)
    err = done.stderr.decode()
    assert done.returncode == 0, err
    assert "Traceback" not in err
    assert b"+/- is the half-width" in done.stdout
    assert list(tmp_path.glob("records/artifacts/toy/*/artifacts/figures/reconstructions.png"))
    table = (tmp_path / "records" / "tables" / "toy" / "table.md").read_text(encoding="utf-8")
    assert "±" in table  # files are UTF-8, whatever the terminal is


PRINTED = """
from rich.table import Table

from vaestudy.cli.parsing import run_guarded
from vaestudy.errors import BadInput
from vaestudy.runtime.console import consoles, print_uncut, progress


def work():
    err, out = consoles()
    table = Table(title="Δ [/red] «ELBO»")
    table.add_column("±")
    table.add_row("[link]0.5 ± 0.1")
    print_uncut(out, table)
    print("µ ± \\udcff 漢")
    with progress(err) as bar:
        bar.add_task("[/x]", shown="[/y]")
    raise BadInput("--name β±\\nx: not a name")


raise SystemExit(run_guarded("vaestudy", work))
"""


@pytest.mark.parametrize("columns", ["1", "0", "²", "-5", "nonsense"])
def test_what_is_printed(columns: str, tmp_path: Path) -> None:
    """An ASCII terminal of any width gets all text, and text is never taken for markup."""
    nowhere = {"HOME": "", "USER": "", "TMPDIR": "/no/such/folder", "PYTHONWARNINGS": "error"}
    done = run(PRINTED, ASCII | nowhere | {"COLUMNS": columns}, tmp_path)
    assert done.returncode == 2, done.stderr
    out = done.stdout.decode("ascii")
    assert "[link]0.5 +/- 0.1" in out
    assert "u +/- \\udcff \\u6f22" in out
    assert "[/red]" in out
    assert done.stderr.decode("ascii").splitlines() == ["vaestudy: --name \\u03b2+/-\\nx: not a name"]


@pytest.mark.parametrize("redirection", [">&-", "| head -c 0", "2>&- >&-"])
def test_a_closed_output(redirection: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m vaestudy studies {redirection}"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert done.stderr == b""
    assert done.returncode == 0


def test_a_user_without_a_home(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    for name in ("HOME", "XDG_CACHE_HOME", datasets.DATA_DIR_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert datasets.data_root(None) == mlruns / "data"


UNKNOWN_USER = """
import os
import pwd


def unknown(_):
    raise KeyError("uid not found")


pwd.getpwuid = unknown
from vaestudy.cli.main import main

raise SystemExit(main(["tables"]))
"""


def test_an_unknown_user_without_home(tmp_path: Path, empty_database: Path) -> None:
    """As in `docker run -u 12345` with an empty environment: MLflow asks for the home when it is imported."""
    env = dict.fromkeys(("HOME", "USER", "LOGNAME", "USERNAME", "LNAME", "XDG_CACHE_HOME", "MLFLOW_TRACKING_URI"), "")
    (tmp_path / "records").mkdir()
    shutil.copy(empty_database, tmp_path / "records" / "mlflow.db")  # a store, as MLflow is imported to read one
    done = run(UNKNOWN_USER, env | {"VAESTUDY_MLRUNS": "records"}, tmp_path)
    assert done.returncode == 2, done.stderr
    assert b"no study is tracked" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_relative_paths_are_made_absolute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers may have another current directory."""
    from vaestudy.sweep.sweep_options import SweepOptions

    monkeypatch.chdir(tmp_path)
    for name in ("data", "ca", "cert", "key"):
        (tmp_path / name).mkdir() if name == "data" else (tmp_path / name).touch()
    assert datasets.data_root(Path("data")) == tmp_path / "data"
    monkeypatch.setenv(datasets.DATA_DIR_VARIABLE, "data")
    assert datasets.data_root(None) == tmp_path / "data"
    options = SweepOptions(scheduler="tls://h:1", tls_ca="ca", tls_cert="cert", tls_key="key")
    assert (options.tls_ca, options.tls_cert, options.tls_key) == tuple(
        str(tmp_path / n) for n in ("ca", "cert", "key")
    )
