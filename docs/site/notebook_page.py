"""A notebook as a page: its text, its code and the outputs that are kept in it. Nothing is executed."""

from __future__ import annotations

import json
from typing import Any


def page(notebook: str) -> str:
    """Return a notebook (JSON, format 4) as Markdown."""
    return "\n\n".join(part for cell in json.loads(notebook)["cells"] for part in _cell(cell)) + "\n"


def _cell(cell: dict[str, Any]) -> list[str]:
    """Return the parts of a cell as Markdown."""
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return [source]
    return [_fenced(source, "python"), *(shown for each in cell["outputs"] if (shown := _output(each)))]


def _output(output: dict[str, Any]) -> str:
    """Return an output as Markdown: a picture, else a table, else text."""
    data = output.get("data", {})
    if "image/png" in data:
        return f"![A picture that the code above draws](data:image/png;base64,{''.join(data['image/png']).strip()})"
    if "text/html" in data:
        return "".join(data["text/html"])
    text = "".join(data.get("text/plain", output.get("text", "")))
    return _fenced(text.rstrip(), "text") if text.strip() else ""


def _fenced(text: str, language: str) -> str:
    """Return a block of code."""
    return f"````{language}\n{text}\n````"
