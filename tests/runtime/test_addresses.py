"""Test addresses of trackers, databases and schedulers: their normal form, the refusals, and that no secret is shown.

The property tests generate addresses: whatever the text is, it has a normal form or one line of refusal.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vaestudy.errors import BadInput
from vaestudy.runtime import addresses, credentials
from vaestudy.runtime.addresses import BadAddress, public_address, scheduler_address, storage_address, tracker_address

CHECKS: dict[str, Callable[[str], str]] = {
    "tracker": tracker_address,
    "storage": storage_address,
    "scheduler": scheduler_address,
}

# Addresses that are none, and a text that the one line contains; {} is replaced by a scheme of each kind.
MALFORMED = {
    "{}://h:99999": "from 1 to 65535",
    "{}://h:0": "from 1 to 65535",
    "{}://h:-1": "from 1 to 65535",
    "{}://h:abc": "from 1 to 65535",
    "{}://h:²": "from 1 to 65535",
    "{}://h:٣": "from 1 to 65535",
    "{}://h:" + "9" * 5000: "from 1 to 65535",
    "{}://[::1": "neither a name nor an IP address",
    "{}://[::1:80": "neither a name nor an IP address",
    "{}://[host]:80": "neither a name nor an IP address",
    "{}://h:80:90": "neither a name nor an IP address",
    "{}://a..b:80": "neither a name nor an IP address",
    "{}://" + "x" * 64 + ":80": "neither a name nor an IP address",
    "{}://" + "ü" * 3000 + ":80": "neither a name nor an IP address",
    "{}://h$:80": "neither a name nor an IP address",
    "{}://a b:80": "no white space",
    "{}://h:80\n": "no white space",
    "{}:/h:80": "two slashes",
}


@pytest.mark.parametrize("text", MALFORMED)
@pytest.mark.parametrize(("kind", "scheme"), [("tracker", "http"), ("tracker", "postgresql"), ("storage", "postgresql"),
                                              ("scheduler", "tcp"), ("scheduler", "tls")])  # fmt: skip
def test_addresses_that_are_none(kind: str, scheme: str, text: str) -> None:
    expected = "must be" if kind != "tracker" and text.startswith("{}:/h") else MALFORMED[text]
    with pytest.raises(BadAddress, match=expected):
        CHECKS[kind](text.format(scheme))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqlite://", "three slashes"),
        ("sqlite:/x.db", "three slashes"),
        ("sqlite://host/x.db", "three slashes"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "must name a file"),
        ("sqlite:///a%00b.db", "no path of a file"),
        ("sqlite:///a\nb.db", "no control characters"),
        ("sqlite+aiosqlite:///x.db", "three slashes"),
        ("file:///tmp/mlruns", "write sqlite:///FOLDER/mlflow.db"),
        ("./mlruns", "write sqlite:///FOLDER/mlflow.db"),
        ("", "not a kind"),
        ("http://", "names no host"),
        ("http://h?token=abc", "no \\? and no #"),
        ("http://h/#x", "no #"),
        ("postgresql:///", "neither a host nor a database"),
        ("postgresql+foo://h/x", "no driver of postgresql that is known"),
        ("postgresql+asyncpg://h/x", "asynchronous|not installed"),
        ("mysql+nope://h/x", "no driver of mysql that is known"),
        ("postgres://h/x", "choose from: sqlite://"),
        ("tcp://h:1", "choose from: sqlite://"),
    ],
)
def test_trackers_that_are_none(text: str, expected: str) -> None:
    with pytest.raises(BadAddress, match=expected):
        tracker_address(text)


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql

    def absent(cls: type) -> None:
        raise ModuleNotFoundError("No module named 'pymysql'", name="pymysql")

    monkeypatch.setattr(MySQLDialect_pymysql, "import_dbapi", classmethod(absent))
    with pytest.raises(BadAddress, match=r"mysql\+pymysql://h/x: .*the package that is missing: pymysql"):
        tracker_address("mysql+pymysql://me:secret@h/x")


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///a b.db",
        "sqlite:///./a%20b.db",
        "sqlite:///sub/../a b.db",
        "sqlite:///link/a b.db",
        "sqlite+pysqlite:///a b.db",
        "SQLite:///a b.db",
        "sqlite:////{}/a b.db",
        "sqlite:////{}/link/a%20b.db?timeout=30",
    ],
)
def test_one_file_has_one_address(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    folder = tmp_path / "link" if "link" in text else tmp_path  # a link is not followed: earlier records name it
    normal = tracker_address(text.format(str(tmp_path)[1:]))
    assert normal.partition("?")[0] == public_address(normal) == f"sqlite:////{str(folder)[1:]}/a%20b.db"
    assert addresses.database_file(normal) == folder / "a b.db"
    monkeypatch.chdir("/")
    assert tracker_address(normal) == normal  # the normal form does not depend on the current directory


def test_addresses_in_earlier_records_are_normal() -> None:
    for address in ("sqlite:////no/such/folder/mlflow.db", "http://127.0.0.1:5000", "postgresql://h:5/db"):
        assert tracker_address(address) == address


def test_the_line_names_the_flag_or_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@h:99999")
    with pytest.raises(BadInput, match=r"^MLFLOW_TRACKING_URI http://h:99999: its port"):
        addresses.tracking_uri(None)
    with pytest.raises(BadInput, match=r"^--tracking-uri http://h:0: its port"):
        addresses.tracking_uri("http://h:0")
    with pytest.raises(BadInput, match=r"^--tracking-uri '': not a kind"):
        addresses.tracking_uri("")


@pytest.mark.skipif(os.name == "nt", reason="names of files are shorter on POSIX")
def test_a_path_that_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot be used|no path of a file"):
        addresses.tracking_uri(f"sqlite:///{tmp_path}/{'x' * 300}.db")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(BadInput, match=r"cannot be used|no path of a file"):
        addresses.tracking_uri(f"sqlite:///{tmp_path}/circle/x.db")


USER = "alice"
PASSWORDS = ("s5word", "p@s5word", "p/s5word", "p:s5word", "p#s5word", "p?s5word", "%40s5word")


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("form", [
    "http://{}@h:5000", "https://{}@h/mlflow", "postgresql://{}@h:5432/db", "postgresql+psycopg://{}@h/db?sslmode=disable",
    "mysql://{}@h/db", "mssql+pyodbc://{}@h/db", "tcp://{}@h:8786", "tls://{}@h:8786", "http:/{}@h", "{}@h:5432/db",
    "http://{}@h:99999", "postgresql://{}@[::1", "sqlite://{}@/x.db", "ftp://{}@h", "http:///{}@h", "postgresql:///{}@h/db",
])  # fmt: skip
def test_no_user_and_no_password_is_shown(form: str, password: str) -> None:
    address = form.format(f"{USER}:{password}")
    for check in CHECKS.values():
        shown = [public_address(address), credentials.shown(address)]
        try:
            normal = check(address)
            shown += [public_address(normal), credentials.shown(normal)]
            assert credentials.has_credentials(normal)
        except BadAddress as error:
            shown += [str(error), error.shown, error.why]
        if "://" in address:
            text = f'cannot reach {address}: login of "{USER}" failed, tried {password!r}'
            shown.append(credentials.without_credentials(text, address))
        for line in shown:
            assert USER not in line
            assert "s5word" not in line


@pytest.mark.parametrize(
    "address", ["postgresql://u:s5word", "http://u:s5word/x", "databricks://u:s5word", "http://h#s5word"]
)
def test_a_password_without_a_host_is_not_shown(address: str) -> None:
    for check in CHECKS.values():
        with pytest.raises(BadAddress) as caught:
            check(address)
        assert "s5word" not in str(caught.value)
    assert credentials.shown("http://h:5000/x") == "http://h:5000/x"


@pytest.mark.parametrize("name", ["password", "sslpassword", "user", "token", "access_token", "api_key", "PWD"])
def test_no_secret_among_the_parameters_is_shown(name: str) -> None:
    normal = tracker_address(f"postgresql://h/db?{name}=s5word&sslmode=require")
    assert "s5word" in normal
    assert public_address(normal) == "postgresql://h/db?sslmode=require"
    assert credentials.has_credentials(normal)
    assert "s5word" not in credentials.shown(normal)
    assert "s5word" not in credentials.without_credentials(f"no answer from {normal} today")


def test_a_password_survives_the_normal_form() -> None:
    from sqlalchemy.engine import make_url

    for password in ("p@s5word", "p/s#5:word", "100%25"):
        url = make_url(storage_address(f"postgresql://me:{password}@h:5/db"))
        assert (url.username, url.host, url.port, url.database) == ("me", "h", 5, "db")
        assert url.password == password.replace("%25", "%")


def test_all_schemes_are_shown() -> None:
    known = {"sqlite", *addresses.SERVERS, *addresses.DATABASES, *addresses.SCHEDULERS}
    assert known == set(credentials.SCHEMES)


def test_texts_without_credentials_stay() -> None:
    for text in ("sqlite:////home/a@b/x.db", "see http://h:5000/#/runs/1 or write to me@h", "test/elbo -155.1 ± 0.2"):
        assert credentials.without_credentials(text) == text


PIECES = st.sampled_from(
    ["http", "https", "postgresql", "mysql", "mssql", "sqlite", "tcp", "tls", "file", "+psycopg", "+foo", "+", ":", "/",
     "//", "://", ":///", "@", "[", "]", "[::1]", "?", "#", "&", "=", "%", "%00", "%2F", "%zz", ".", "..", "~", " ",
     "\t", "\n", "\x00", "²", "٣", "ü", "\udcff", "\u2028", "{", "}", "{storage}", "localhost", "h", "80", "65536",
     "password=", ":memory:", "x.db", "a" * 70]
)  # fmt: skip
ADDRESSES = st.one_of(
    st.text(max_size=40),
    st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join),
    st.from_regex(r"(http|postgresql|mysql|tcp|tls|sqlite)(\+[a-z]{0,5})?:/{1,4}[^\s]{0,20}", fullmatch=True),
    st.from_regex(r"(http|postgresql|tcp|tls)://(.{0,4}:.{0,6}@)?(\[?[0-9a-f:.]{0,8}\]?|[a-z.]{0,8})(:.{0,6})?(/.{0,5})?",
                  fullmatch=True),
)  # fmt: skip


@pytest.mark.parametrize("kind", CHECKS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=ADDRESSES)
@example(text="http://[")
@example(text="postgresql://h:5/{storage}")
def test_every_text_has_a_normal_form_or_a_refusal(kind: str, text: str) -> None:
    try:
        normal = CHECKS[kind](text)
    except BadAddress:
        return
    assert CHECKS[kind](normal) == normal
    assert tracker_address(public_address(normal)) if kind == "tracker" else public_address(normal)
    assert public_address(public_address(normal)) == public_address(normal)
    assert not credentials.has_credentials(public_address(normal))


SECRETS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=6, max_size=12)


@settings(max_examples=150, deadline=None)
@given(scheme=st.sampled_from(["http", "postgresql", "mysql", "tcp", "tls", "https"]), password=SECRETS)
def test_no_password_of_any_characters_is_shown(scheme: str, password: str) -> None:
    address = f"{scheme}://user1:{password}@h:1/p"
    lines = [credentials.shown(address), credentials.without_credentials(f"to {address} or {password}", address)]
    lines.append(public_address(address))
    for check in CHECKS.values():
        try:
            lines.append(public_address(check(address)))
        except BadAddress as error:
            lines.append(str(error))
    for line in lines:
        assert "user1" not in line
        assert password not in line
