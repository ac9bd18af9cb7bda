"""The tutorial is executed as a reader would do it, in a kernel of its own."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from vaestudy.runtime.project import repository

NOTEBOOK = repository() / "docs" / "tutorial.ipynb"
LARGEST = 300_000  # bytes, with its pictures


def test_it_is_small() -> None:
    assert NOTEBOOK.stat().st_size < LARGEST


@pytest.mark.slow
def test_every_cell_runs(tmp_path: Path, mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the study, whose worker processes import nothing of the notebook."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repository()), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a command that another test ran here has set it
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    drawn = sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    assert drawn == 8
    printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "[4/4]" in printed
    assert "\x1b" not in printed  # a notebook cannot overwrite a progress bar
    (bound,) = [cell for cell in code if cell.source.startswith("model = run.load()")]
    mean, recorded = bound.outputs[0]["data"]["text/plain"].strip("()").split(", ")
    assert mean == recorded  # as the text above it says
    assert (mlruns / "tables" / "tutorial" / "table.csv").is_file()
