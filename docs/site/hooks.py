"""What the site adds to the pages of docs/: pages made of the code, the sources that are linked, and their links.

MkDocs calls the functions below while it builds (mkdocs.yml names this file). Flags, metrics, parts and public names
are read from the package, so these pages say what the code says.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the package of this checkout, wherever another one may be installed

import api_page  # noqa: E402
import flags_page  # noqa: E402
import links  # noqa: E402
import metrics_page  # noqa: E402
import notebook_page  # noqa: E402
import parts_page  # noqa: E402

GENERATED = {
    "reference/flags.md": flags_page.page,
    "reference/metrics.md": metrics_page.page,
    "reference/parts.md": parts_page.page,
    "reference/api.md": api_page.page,
}
"""Address of a page -> the function that returns its Markdown."""
ASSETS = {"assets/site.css": "site.css", "assets/iframe-worker.js": "iframe-worker.js"}
"""Address of a file -> its name in this folder."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the navigation the pages that are there only at times, if they are not there now."""
    docs = Path(config.docs_dir)
    missing = {
        page
        for page in config.extra["pages_when_present"]
        if not (docs / page).exists() and not (docs / page).with_suffix(".ipynb").exists()
    }
    config.nav = _without(config.nav, missing)
    return config


def _without(entry: Any, missing: set[str]) -> Any:
    """Return a part of the navigation (a list, {title: part} or an address) without some pages; None if it is one."""
    if isinstance(entry, list):
        return [kept for each in entry if (kept := _without(each, missing)) is not None]
    if isinstance(entry, dict):
        kept = {title: _without(below, missing) for title, below in entry.items()}
        return kept if None not in kept.values() else None
    return None if entry in missing else entry


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of the code, of files beside docs/, and of notebooks."""
    made = {uri: write() for uri, write in GENERATED.items()}
    made |= {uri: (ROOT / name).read_text(encoding="utf-8") for name, uri in links.BESIDE_DOCS.items()}
    for file in files:
        if file.src_uri.endswith(".ipynb") and file.inclusion.is_included():
            made[links.page_of_notebook(file.src_uri)] = notebook_page.page(file.content_string)
    texts = {file.src_uri: file.content_string for file in files.documentation_pages()} | made
    made |= links.source_pages(texts, ROOT)
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    for uri, name in ASSETS.items():
        files.append(File.generated(config, uri, abs_src_path=str(Path(__file__).with_name(name))))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page whose links to files beside docs/ lead to pages of the site."""
    return links.for_the_site(markdown, page.file.src_uri, ROOT)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page on which no line ends between a number and its interval."""
    return html.replace(" ± ", "&nbsp;±&nbsp;")
