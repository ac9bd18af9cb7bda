"""`vaestudy export`: complete, with true digests, and the same bytes for the same records."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest

from vaestudy.cli import export_work
from vaestudy.cli.main import main
from vaestudy.errors import BadInput
from vaestudy.reporting.bundle import zipped


def contents(folder: Path) -> dict[str, bytes]:
    """Return path -> content of all files in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_and_a_zip(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(store / "artifacts")
    folder, archive = tmp_path / "toy", tmp_path / "out.zip"
    folder.mkdir()  # an empty folder may be there
    assert main(["export", "toy", "--to", str(folder)]) == 0
    assert f"wrote {folder}" in capsys.readouterr().out
    files = contents(folder)
    listed = json.loads(files["manifest.json"])["files"]
    assert set(listed) == set(files) - {"manifest.json"}
    for path, about in listed.items():
        assert about == {"sha256": hashlib.sha256(files[path]).hexdigest(), "bytes": len(files[path])}
    expected = {"README.md", "index.html", "revisions.json", "mnist-5k/study.json", "mnist-5k/tables/runs.csv"}
    expected |= {f"mnist-5k/tables/table.{ending}" for ending in ("csv", "md", "tex", "html")}
    assert expected | {"mnist-5k/figures/bound_and_parts.png"} <= set(files)
    configs = {path: json.loads(files[path]) for path in files if "/configurations/" in path}
    assert sorted((c["latent_dim"], c["seed"]) for c in configs.values()) == [(2, 0), (2, 1), (3, 0), (3, 1)]
    (origin,) = json.loads(files["revisions.json"])["runs_by_origin"]
    assert {Path(path).stem for path in configs} == set(origin["runs"])
    assert {"code.revision", "data.fingerprint", "version.torch", "hardware.cpu"} <= set(origin)
    page = files["index.html"].decode()
    pictures = re.findall(r'<img src="([^"]+)"', page)
    links = re.findall(r'<a href="([^"#]+)"', page)
    assert pictures
    assert {*pictures, *links} <= set(files)
    assert not re.search(r"https?://", page)
    assert contents(store / "artifacts") == before  # nothing is attached or written in the records

    assert main(["export", "toy", "--to", str(archive), "--sweep", "mnist-5k"]) == 0
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        assert {name: packed.read(name) for name in packed.namelist()} == {f"out/{k}": v for k, v in files.items()}


def test_the_same_files_give_the_same_zip() -> None:
    files = {"b": b"2", "a/c": b"1"}
    assert zipped(files, "x") == zipped(dict(reversed(files.items())), "x")


def test_what_is_refused(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for names, parts in {
        ("toi", "new"): ["'toi'"],
        ("toy", "new", "--sweep", "mnist"): ["unknown sweep of toy 'mnist'", "mnist-5k"],
    }.items():
        study, folder, *more = names
        assert main(["export", study, "--to", str(tmp_path / folder), *more]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert all(part in err for part in parts)
        assert not (tmp_path / folder).exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "x"
    with pytest.raises(BadInput, match="cannot be written"):
        export_work.write_folder(target, {"a": b"1", "a/b": b"2"})  # a file where a folder must be
    assert not target.exists()
    assert not list(tmp_path.glob(".x-*"))
    target.mkdir()
    (target / "mine").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        export_work.write_folder(target, {"a": b"1"})
    assert [path.name for path in target.iterdir()] == ["mine"]
