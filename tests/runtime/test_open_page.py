"""`vaestudy ui` opens its page in a browser if there is one, once the server answers."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from typing import Any, NoReturn

import pytest

from tests.support.processes import free_port
from vaestudy.cli import main
from vaestudy.runtime import open_page


def test_the_page_is_opened_once_the_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert open_page.main("http://127.0.0.1/#/a", server.getsockname()[1]) == 0
    assert opened == ["http://127.0.0.1/#/a"]


def test_nothing_is_opened_if_no_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("opened"))
    monkeypatch.setattr(open_page, "PATIENCE_SECONDS", 0.3)
    assert open_page.main("http://127.0.0.1/", free_port()) == 1


def test_nothing_is_opened_if_the_server_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = iter([1, 2])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("opened"))
    assert open_page.main("http://127.0.0.1/", free_port()) == 1


@pytest.mark.parametrize(
    ("platform", "display", "browser", "expected"),
    [
        ("linux", "", True, False),
        ("linux", ":0", True, True),
        ("linux", ":0", False, False),
        ("darwin", "", True, True),
        ("win32", "", True, True),
    ],
)
def test_a_browser_needs_a_screen(
    platform: str, display: str, browser: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get() -> object:
        if not browser:
            raise webbrowser.Error("could not locate runnable browser")
        return object()

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(webbrowser, "get", get)
    assert open_page.has_browser() is expected


@pytest.mark.parametrize(("flags", "expected"), [([], 1), (["--no-browser"], 0)])
def test_the_command_opens_the_pages_for_trained_models(
    flags: list[str], expected: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[tuple[str, int]] = []

    def served(*_: Any) -> NoReturn:
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", served)
    monkeypatch.setattr(main, "require_records", lambda uri: None)
    monkeypatch.setattr(main, "has_browser", lambda: True)
    monkeypatch.setattr(main, "open_when_served", lambda *arguments: opened.append(arguments))
    port = free_port()
    with pytest.raises(SystemExit):
        main.ui_command(["--port", str(port), *flags])
    page = f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning"
    assert capsys.readouterr().out.startswith(f"{page}  (Ctrl-C")
    assert opened == [(page, port)][:expected]
