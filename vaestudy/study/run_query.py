"""The names and conditions by which tracked runs are listed, e.g. `latent_dim>5 and likelihood=beta`.

A condition is text from the user. It is split into tokens and read by the grammar below; nothing in it is executed.

    condition   = alternative ("or" alternative)*
    alternative = part ("and" part)*
    part        = "not" part | "(" condition ")" | comparison
    comparison  = NAME ("=" | "==" | "!=" | "<" | "<=" | ">" | ">=") value | NAME "in" "(" value ("," value)* ")"
    value       = a number, a word (mnist-5k, 64x32, true), or text in quotes

A NAME is a field of the configuration, a fact about the run (`FACTS`) or a metric; `elbo` is short for `test/elbo`. A
comparison with something that a run does not have is false. This file imports nothing slow.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vaestudy.config.messages import field_schema
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.study.levels import is_list, level_text
from vaestudy.study.metrics import METRICS, is_metric

FACTS = {
    "id": "the run's id in MLflow",
    "study": "the study; `train` for single runs",
    "sweep": "the sweep of the study",
    "name": "the run's name in MLflow",
    "varies": "the fields in which the runs of the sweep differ, with this run's values",
    "status": "FINISHED, FAILED, RUNNING or KILLED",
    "role": "trial for a cell of a study, search for a trial of a search, train for a single run",
    "started": "when it began, as 2026-01-31 23:59 in UTC",
    "key": "the key of the configuration",
    "revision": "the code's revision",
    "fingerprint": "the SHA-256 of the images",
}
"""Name of a fact about a run -> what it is."""

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
EQUALITIES = ("=", "==", "!=", "in")
LONGEST = 1_000
"""The largest number of characters of a condition."""
DEEPEST = 20
"""How deep parentheses and `not` may be nested in a condition."""
TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>'[^']*'|"[^"]*")
      | (?P<number>[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?![\w./:~-])
      | (?P<word>[A-Za-z0-9_][\w./:~+-]*)
      | (?P<sign><=|>=|==|!=|[=<>(),])
    )""",
    re.VERBOSE | re.ASCII,
)

Row = Mapping[str, Any]
"""Name of a column (`column_of`) -> its value in one run; what the run does not have is missing or None."""


@dataclass(frozen=True)
class Condition:
    """A condition that a run meets or does not meet, such as `latent_dim > 5`."""

    text: str
    """What the user wrote."""
    columns: tuple[str, ...]
    """The columns that it reads, in their order in the text."""
    holds: Callable[[Row], bool]
    """Whether it holds for a run."""


def column_of(name: str) -> str:
    """Return the column that a name stands for: a fact, a field of the configuration or a metric.

    Raises:
        BadInput: there is no such column; the message has the nearest name.
    """
    if name in FACTS or name in RunConfig.model_fields or is_metric(name):
        return name
    if is_metric(f"test/{name}"):
        return f"test/{name}"
    plain = [metric for metric in METRICS if "<" not in metric]
    known = [*RunConfig.model_fields, *FACTS, *(metric.removeprefix("test/") for metric in plain), *plain]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise BadInput(
        f"unknown field {name!r}{hint}; choose from: the configuration's fields (`vaestudy train --help` lists them), "
        f"{', '.join(FACTS)}, and metrics such as elbo, kl, iwae_100, seconds/total (docs/glossary.md lists them)"
    )


def kind_of(column: str) -> str:
    """Return what a column holds: "number", "true or false", "list" or "text"."""
    if column in FACTS:
        return "text"
    if column not in RunConfig.model_fields:
        return "number"
    if is_list(column):
        return "list"
    return {"integer": "number", "number": "number", "boolean": "true or false"}.get(
        str(field_schema(RunConfig, column)["type"]), "text"
    )


def parse_condition(text: str) -> Condition:
    """Return the condition that a text stands for.

    Raises:
        BadInput: the text is no condition; the message says where and why.
    """
    if len(text) > LONGEST:
        raise BadInput(f"--where: {len(text)} characters, more than {LONGEST:,}")
    parser = _Parser(text, _tokens(text))
    holds = parser.condition(0)
    if parser.next:
        raise parser.error("and, or, or the end")
    return Condition(text, tuple(dict.fromkeys(parser.columns)), holds)


@dataclass(frozen=True)
class _Token:
    """A part of a condition."""

    kind: str
    """quoted, number, word or sign."""
    text: str
    place: int
    """The number of characters before it."""

    @property
    def value(self) -> str | int | float:
        """Return the value that the token stands for."""
        if self.kind == "number":
            return int(self.text) if re.fullmatch("[-+]?[0-9]{1,30}", self.text) else float(self.text)
        return self.written

    @property
    def written(self) -> str:
        """Return the token as text, without quotes. The id 0012 is another one than the id 12."""
        return self.text[1:-1] if self.kind == "quoted" else self.text


def _tokens(text: str) -> list[_Token]:
    """Split a condition.

    Raises:
        BadInput: a character belongs to no token.
    """
    found, place = [], 0
    while text[place:].strip():
        match = TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            rest = text[place:].strip()
            why = "a quotation mark without its other half" if rest[0] in "'\"" else "no part of a condition"
            raise BadInput(f"--where {text}: {rest[0]!r} is {why}")
        found.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        place = match.end()
    return found


class _Parser:
    """Reads the tokens of one condition, from left to right."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text, self.tokens, self.at = text, tokens, 0
        self.columns: list[str] = []

    @property
    def next(self) -> _Token | None:
        """Return the token that is read next; None at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def error(self, expected: str) -> BadInput:
        """Return the error for a token that cannot stand where it does."""
        found = repr(self.next.text) if self.next else "the end"
        place = f" (character {self.next.place + 1})" if self.next else ""
        return BadInput(f"--where {self.text}: {found}{place}: expected {expected}")

    def take(self, *texts: str) -> str | None:
        """Read the next token if it is one of these words or signs; return it, else None."""
        if self.next and self.next.kind in ("word", "sign") and self.next.text in texts:
            self.at += 1
            return self.tokens[self.at - 1].text
        return None

    def condition(self, depth: int) -> Callable[[Row], bool]:
        """Read alternatives that are joined by `or`."""
        parts = [self.alternative(depth)]
        while self.take("or"):
            parts.append(self.alternative(depth))
        return lambda row: any(part(row) for part in parts)

    def alternative(self, depth: int) -> Callable[[Row], bool]:
        """Read parts that are joined by `and`."""
        parts = [self.part(depth)]
        while self.take("and"):
            parts.append(self.part(depth))
        return lambda row: all(part(row) for part in parts)

    def part(self, depth: int) -> Callable[[Row], bool]:
        """Read a comparison, a negation or a condition in parentheses."""
        if depth > DEEPEST:
            raise BadInput(f"--where: more than {DEEPEST} parentheses and `not` within each other")
        if self.take("not"):
            inner = self.part(depth + 1)
            return lambda row: not inner(row)
        if self.take("("):
            inner = self.condition(depth + 1)
            if not self.take(")"):
                raise self.error(")")
            return inner
        return self.comparison()

    def comparison(self) -> Callable[[Row], bool]:
        """Read a comparison of a column."""
        if self.next is None or self.next.kind != "word" or self.next.text in ("and", "or", "in"):
            raise self.error("a field, e.g. latent_dim>5")
        self.at += 1
        column = column_of(self.tokens[self.at - 1].text)
        self.columns.append(column)
        if (sign := self.take(*COMPARISONS, "in")) is None:
            raise self.error("one of = != < <= > >= in")
        kind = kind_of(column)
        if sign not in EQUALITIES and kind != "number" and column != "started":
            raise BadInput(f"--where {self.text}: {column} is {_a(kind)}, so it has only = != in, and not {sign}")
        if sign == "in":
            values = self.values(column, kind)
            return lambda row: _has(row, column) and any(_as_kind(row[column], kind) == value for value in values)
        value, compare = self.value(column, kind), COMPARISONS[sign]
        return lambda row: _has(row, column) and compare(_as_kind(row[column], kind), value)

    def values(self, column: str, kind: str) -> list[Any]:
        """Read values in parentheses."""
        if not self.take("("):
            raise self.error("(")
        values = [self.value(column, kind)]
        while self.take(","):
            values.append(self.value(column, kind))
        if not self.take(")"):
            raise self.error(", or )")
        return values

    def value(self, column: str, kind: str) -> Any:
        """Read one value of a column."""
        if self.next is None or self.next.kind == "sign":
            raise self.error("a value")
        self.at += 1
        token = self.tokens[self.at - 1]
        fits = {"number": token.kind == "number", "true or false": token.text in ("true", "false")}.get(kind, True)
        if not fits:
            raise BadInput(f"--where {self.text}: {column} is {_a(kind)}, and {token.text!r} is not")
        if kind == "number":
            return token.value
        if kind == "true or false":
            return token.text == "true"
        return token.written if column in FACTS else str(token.value)


def _a(kind: str) -> str:
    """Return a kind of column as the middle of a sentence has it."""
    return kind if kind in ("text", "true or false") else f"a {kind}"


def _has(row: Row, column: str) -> bool:
    """Return whether a run has a value of a column."""
    return row.get(column) is not None


def _as_kind(value: Any, kind: str) -> Any:
    """Return a run's value as it is compared: a number or a truth value as it is, all else as text."""
    return value if kind in ("number", "true or false") else level_text(value)
