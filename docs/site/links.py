"""Links that leave docs/: on GitHub they lead to files of the repository, on the site to pages with these files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

BESIDE_DOCS = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""File beside docs/ -> the address of its page on the site."""
HOME = {"README.md": "index.md"}
LINK = re.compile(r"\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
"""A Markdown link to a file; addresses on the web have a colon."""
LANGUAGES = {".py": "python", ".toml": "toml", ".csv": "text"}


def for_the_site(markdown: str, uri: str, root: Path) -> str:
    """Return the text of a page with the links of the site.

    Args:
        markdown: the text, with the links of the repository.
        uri: the address of the page on the site.
        root: the root of the repository. A link to a file that is not there stays, and fails the build.
    """

    def link(found: re.Match[str]) -> str:
        target = _page_of(_in_repository(found["target"], uri), root)
        if target is None:
            return found[0]
        return f"]({posixpath.relpath(target, posixpath.dirname(uri) or '.')}{found['anchor'] or ''})"

    return LINK.sub(link, markdown)


def source_pages(texts: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return the pages of the sources that some pages link to: address -> Markdown.

    Args:
        texts: address of a page -> its text.
        root: the root of the repository.
    """
    found: dict[str, str] = {}
    for uri, text in texts.items():
        for path in _linked(text, uri):
            page = _page_of(path, root)
            if page is not None and page.startswith("source/"):
                found[page] = _source_page(path, (root / path).read_text(encoding="utf-8"))
    return found


def page_of_notebook(uri: str) -> str:
    """Return the address of the page that is made of a notebook."""
    return str(Path(uri).with_suffix(".md"))


def _linked(text: str, uri: str) -> Iterator[str]:
    """Return the files of the repository that a page links to."""
    return (_in_repository(found["target"], uri) for found in LINK.finditer(text))


def _in_repository(target: str, uri: str) -> str:
    """Return the path in the repository that a link of a page means."""
    folder = "" if uri in BESIDE_DOCS.values() else posixpath.join("docs", posixpath.dirname(uri))
    return posixpath.normpath(posixpath.join(folder, target))


def _page_of(path: str, root: Path) -> str | None:
    """Return the address of the page that shows a file of the repository; None if the link may stay as it is."""
    if path in BESIDE_DOCS | HOME:
        return (BESIDE_DOCS | HOME)[path]
    if path.endswith(".ipynb") and (root / path).is_file():
        return page_of_notebook(posixpath.relpath(path, "docs"))
    if path.startswith("docs/"):
        return posixpath.relpath(path, "docs")
    if not path.startswith("..") and (root / path).is_file():
        return f"source/{path}.md"
    return None


def _source_page(path: str, text: str) -> str:
    """Return the Markdown of a page that shows a file. The search leaves such pages out."""
    language = LANGUAGES.get(Path(path).suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n````{language}\n{text.rstrip()}\n````\n"
