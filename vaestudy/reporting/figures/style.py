"""The heading that the figures of a study share."""

from __future__ import annotations

import pandas as pd

from vaestudy.study.declaration import Study


def figure_title(runs: pd.DataFrame, study: Study, description: str) -> str:
    """Return the heading of a figure: the question, the data set, the number of seeds and a description.

    The heading of a quick sweep says that it is not a result.
    """
    finished = runs[runs["status"] == "FINISHED"]
    quick = "   QUICK LOOK, NOT A RESULT" if (finished["params.subset"] != "null").any() else ""
    name, seeds = finished["tags.data.name"].iloc[0], finished["seed"].nunique()
    return f"{study.question}\n{name}, {seeds} seeds; {description}{quick}"
