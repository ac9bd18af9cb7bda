"""The documentation site: it is complete, nothing in it comes from elsewhere, and a broken link fails its build."""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import vaestudy
from vaestudy import RunConfig
from vaestudy.cli.flags import flag
from vaestudy.cli.main import COMMANDS
from vaestudy.config.presets import PRESETS
from vaestudy.runtime.project import repository
from vaestudy.study.metrics import METRICS

SITE = repository() / "docs" / "site"
EXTERNAL = re.compile(r"(?:https?:)?//")


class Page(HTMLParser):
    """The addresses that a page loads by itself, the pages that it links to, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        if "src" in values:
            self.loads.append(values["src"])
        if tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(values["href"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a module of the site."""
    monkeypatch.syspath_prepend(str(SITE))
    return importlib.import_module(name)


def test_the_page_of_flags_has_every_command_flag_and_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    text = module("flags_page", monkeypatch).page()
    assert [name for name in COMMANDS if f"## vaestudy {name}\n" not in text] == []
    fields = RunConfig.model_fields
    for command in ("train", "study"):
        missing = [name for name in fields if f'<a id="{command}-{name}"></a>`{flag(name)}' not in text]
        assert missing == (["seed"] if command == "study" else [])
    assert "| a whole number, 1 or more, 2,147,483,647 or less |" in text
    assert [name for name in PRESETS if f"| `{name}` |" not in text] == []
    anchors = re.findall(r'<a id="([^"]+)">', text)
    assert len(anchors) == len(set(anchors))


def test_the_page_of_metrics_has_every_metric_with_its_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    page = module("metrics_page", monkeypatch)
    text = page.page()
    assert [name for name in METRICS if f"</a>`{name}` | {page.glossary()[name].text} |" not in text] == []
    monkeypatch.setattr(page, "METRICS", (*METRICS, "test/new"))
    with pytest.raises(KeyError, match="test/new"):
        page.page()


def test_the_page_of_parts_has_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    page = module("parts_page", monkeypatch)
    text = page.page()
    for registry in page.registries().values():
        for name in registry:
            assert f"| `{name}` |" in text
    assert "--likelihood`. Your own: `@vaestudy.LIKELIHOODS.part(...)`" in text
    assert page.summary(vaestudy.LIKELIHOODS["bernoulli"])
    assert page.summary(vaestudy.ACTIVATIONS["tanh"]) == "torch.tanh"


def test_the_page_of_the_python_interface_has_every_public_name(monkeypatch: pytest.MonkeyPatch) -> None:
    page = module("api_page", monkeypatch)
    text = page.page()
    for name, path in page.defined_in().items():
        assert f"::: {path}\n" in text or f"| `vaestudy.{name}` |" in text
    assert set(page.defined_in()) == set(vaestudy.__all__)


@pytest.mark.parametrize(
    ("uri", "link", "expected"),
    [
        ("index.md", "[a](../CONTRIBUTING.md#rules)", "[a](contributing.md#rules)"),
        ("index.md", "[a](../vaestudy/errors.py)", "[a](source/vaestudy/errors.py.md)"),
        ("index.md", "[a](data.md#what)", "[a](data.md#what)"),
        ("index.md", "[a](../vaestudy/nowhere.py)", "[a](../vaestudy/nowhere.py)"),
        ("index.md", "[a](https://example.org/a.md)", "[a](https://example.org/a.md)"),
        ("contributing.md", "[a](docs/data.md)", "[a](data.md)"),
        ("contributing.md", "![a](docs/sigma.png)", "![a](sigma.png)"),
        ("reference/flags.md", "[a](../../vaestudy/errors.py)", "[a](../source/vaestudy/errors.py.md)"),
        ("reference/flags.md", "[a](../data.md)", "[a](../data.md)"),
    ],
)
def test_links_that_leave_the_docs(uri: str, link: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module("links", monkeypatch).for_the_site(link, uri, repository()) == expected


def test_a_notebook_is_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = [
        {"output_type": "stream", "text": ["0.5\n"]},
        {"output_type": "display_data", "data": {"image/png": "AAAA\n", "text/plain": "<Figure>"}},
        {"output_type": "execute_result", "data": {"text/html": ["<table></table>"], "text/plain": "a"}},
        {"output_type": "execute_result", "data": {"text/plain": "1"}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# A title\n", "text"]},
        {"cell_type": "code", "source": "print(x)", "outputs": outputs},
    ]
    text = module("notebook_page", monkeypatch).page(json.dumps({"cells": cells}))
    for part in ("# A title\ntext\n", "````python\nprint(x)\n````", "````text\n0.5\n````", "base64,AAAA)",
                 "<table></table>", "````text\n1\n````"):  # fmt: skip
        assert part in text
    assert "<Figure>" not in text


def test_links_of_the_repository_lead_to_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """On GitHub, where the README is read and no site is built."""
    pages = [*repository().glob("*.md"), *(repository() / "docs").glob("*.md")]
    assert len(pages) > 20
    links = [(page, link["target"]) for page in pages
             for link in module("links", monkeypatch).LINK.finditer(page.read_text(encoding="utf-8"))]  # fmt: skip
    assert len(links) > 100
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a | b [default: 1] [not for c]", r"a \| b \[default: 1] \[not for c]"),
        ("`x[0] | y` in [0, 1]", r"`x[0] \| y` in \[0, 1]"),
        ("a ` b", r"a \` b"),
    ],
)
def test_text_in_a_cell(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module("cells", monkeypatch).cell(text) == expected


def build(checkout: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout as the Makefile does. With `--quiet` MkDocs would ignore warnings."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(to)]
    surroundings = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    file = checkout / "docs" / "site" / "mkdocs.yml"
    return subprocess.run([*command, "--config-file", str(file)], env=surroundings, capture_output=True, text=True,
                          check=False)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built site."""
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason=f"{package} is not installed (extra `docs`)")
    folder = tmp_path_factory.mktemp("site")
    done = build(repository(), folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@functools.cache
def read(path: Path) -> Page:
    """Return what tests ask of a page."""
    return Page(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_every_link_of_the_site_leads_to_something(site: Path) -> None:
    """Also those that MkDocs does not check: of raw HTML, of the theme, and of generated pages."""
    broken = []
    for path in site.rglob("*.html"):
        for link in (*read(path).links, *read(path).loads):
            target, _, anchor = link.partition("#")
            if path.name == "404.html" or EXTERNAL.match(link) or link.startswith(("data:", "mailto:")):
                continue
            to = (path.parent / target).resolve() if target else path
            if not to.exists() or (anchor and to.suffix == ".html" and anchor not in read(to).anchors):
                broken.append((path.name, link))
    assert broken == []


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert [(path.name, one) for path in pages for one in read(path).loads if EXTERNAL.match(one)] == []
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")) == []


@pytest.mark.slow
def test_readers_find_what_they_search(site: Path) -> None:
    """The index is in the site, and has generated pages but not the sources."""
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"reference/flags.html", "reference/metrics.html", "reference/api.html", "glossary.html"} < places
    assert not any(place.startswith("source/") for place in places)


@pytest.mark.slow
def test_a_broken_link_fails_the_build(site: Path, tmp_path: Path) -> None:
    """Each kind of broken link is reported, and nothing else, as the same pages without them are built."""
    checkout = tmp_path / "checkout"
    shutil.copytree(repository() / "docs", checkout / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "vaestudy", "studies", "tests"):
        (checkout / name).symlink_to(repository() / name)
    page = checkout / "docs" / "data.md"
    broken = ["nowhere.md", "glossary.md#nowhere", "../vaestudy/nowhere.py", "nowhere.png"]
    page.write_text(page.read_text(encoding="utf-8") + "".join(f"\n[a]({link})\n" for link in broken), encoding="utf-8")
    (checkout / "docs" / "unlisted.md").write_text("# Not in the navigation\n", encoding="utf-8")
    done = build(checkout, tmp_path / "site")
    assert done.returncode != 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line]
    for link in broken:
        assert any(f"'{link}'" in line for line in said), said
    assert len(said) == len(broken) + 1, said
    assert "unlisted.md" in done.stdout + done.stderr
