"""TODO"""

from __future__ import annotations

import pandas as pd

from vaestudy.study.declaration import Study


def figure_title(runs: pd.DataFrame, study: Study, words: str) -> str:
    """A picture's heading: the question, the data, what is shown; a quick look says so."""
    finished = runs[runs["status"] == "FINISHED"]
    quick = "   QUICK LOOK, NOT A RESULT" if (finished["params.subset"] != "null").any() else ""
    name, seeds = finished["tags.data.name"].iloc[0], finished["seed"].nunique()
    return f"{study.question}\n{name}, {seeds} seeds; {words}{quick}"
