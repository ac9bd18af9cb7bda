"""The table in docs/reproduce.md is in step with the committed runs in docs/data/."""

from __future__ import annotations

import pytest

from vaestudy.evidence.collect import collect
from vaestudy.evidence.committed import data_folder
from vaestudy.reproductions.comparison import comparisons
from vaestudy.reproductions.registry import PROTOCOLS
from vaestudy.reproductions.table import BEGIN, END, markdown
from vaestudy.runtime.project import repository


def test_the_page_is_in_step_with_the_committed_runs() -> None:
    page = (repository() / "docs" / "reproduce.md").read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    if not list(data_folder().glob("reproduce-*.csv")):
        pytest.skip("no run of a published protocol is committed yet")
    needs = [one for protocol in PROTOCOLS.values() for one in protocol.needs("mnist")]
    text = markdown(comparisons(PROTOCOLS.values(), collect(needs, "mnist")), look=False)
    assert f"{BEGIN}\n{text}{END}" in page
