"""The conditions of `vaestudy runs --where`: what they mean, and that nothing in them is executed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaestudy.errors import BadInput
from vaestudy.study.run_query import DEEPEST, LONGEST, column_of, parse_condition

ROW = {
    "latent_dim": 10,
    "learning_rate": 0.001,
    "likelihood": "beta",
    "dataset": "mnist-5k",
    "hidden": [64, 32],
    "class_scores": True,
    "status": "FINISHED",
    "started": "2026-11-28 02:00",
    "test/elbo": -110.5,
    "valid_size": None,
    "id": "00123",
    "revision": "12345e6",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latent_dim>5", True),
        ("latent_dim > 10", False),
        ("latent_dim >= 10", True),
        ("latent_dim=10.0", True),
        ("elbo < -110.4", True),
        ("test/elbo<-1.105e2", False),
        ("learning_rate == 1e-3", True),
        ("likelihood=beta", True),
        ("likelihood != 'beta'", False),
        ("dataset in (mnist, mnist-5k)", True),
        ("not dataset in (mnist, mnist-5k)", False),
        ("latent_dim in (2, 3)", False),
        ("hidden=64x32", True),
        ("hidden=64", False),
        ("class_scores=true", True),
        ("class_scores=false", False),
        ("started >= 2026-11-01", True),
        ("started < '2026-11-28 01:59'", False),
        ("kl > 0", False),  # the run has no such metric
        ("kl <= 0", False),
        ("not kl > 0", True),
        ("valid_size > 0", False),
        ("latent_dim=2 and latent_dim=2 or latent_dim=10", True),  # `and` before `or`
        ("latent_dim=10 or latent_dim=2 and latent_dim=3", True),
        ("(latent_dim=10 or latent_dim=2) and latent_dim=3", False),
        ("not (latent_dim=2 or status=FAILED)", True),
        ("id=00123", True),  # a text of digits is no number
        ("id=123", False),
        ("revision in (12345e6, 1)", True),
    ],
)
def test_what_a_condition_means(text: str, expected: bool) -> None:
    assert parse_condition(text).holds(ROW) is expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("latent_dm>5", ["'latent_dm'", "did you mean 'latent_dim'"]),
        ("elbow>5", ["'elbow'", "did you mean 'elbo'"]),
        ("statu=FINISHED", ["did you mean 'status'"]),
        ("", ["the end", "a field"]),
        ("latent_dim", ["the end", "one of = !="]),
        ("latent_dim>", ["the end", "a value"]),
        ("latent_dim>5 latent_dim<7", ["'latent_dim' (character 14)", "and, or"]),
        ("latent_dim>five", ["latent_dim is a number", "'five'"]),
        ("latent_dim='5'", ["latent_dim is a number", "\"'5'\""]),
        ("class_scores=1", ["class_scores is true or false", "'1'"]),
        ("likelihood<beta", ["likelihood is text", "not <"]),
        ("hidden>64", ["hidden is a list", "not >"]),
        ("(latent_dim=5", ["the end", ")"]),
        ("latent_dim in 5", ["'5'", "("]),
        ("latent_dim in (5", [", or )"]),
        ("likelihood='beta", ["quotation mark"]),
        ("latent_dim>5;import os", ["';'", "no part"]),
        ("__import__('os')", ["unknown field '__import__'"]),
        ("(" * (DEEPEST + 2) + "latent_dim=5", [f"more than {DEEPEST}"]),
        ("not " * (DEEPEST + 2) + "latent_dim=5", [f"more than {DEEPEST}"]),
        ("x" * (LONGEST + 1), [f"{LONGEST + 1} characters"]),
    ],
)
def test_what_is_no_condition(text: str, parts: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        parse_condition(text)
    for part in parts:
        assert part in str(refused.value)


TOKENS = st.sampled_from(
    ["latent_dim", "elbo", ">", "=", "in", "(", ")", ",", "and", "or", "not", "5", "'a'", "x", "'"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(TOKENS, max_size=12).map(" ".join) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        condition = parse_condition(text)
    except BadInput:
        return
    assert condition.holds(ROW) in (True, False)


@pytest.mark.parametrize(
    ("name", "column"),
    [("elbo", "test/elbo"), ("valid/elbo", "valid/elbo"), ("iwae_5000", "test/iwae_5000"), ("seed", "seed")],
)
def test_the_column_of_a_name(name: str, column: str) -> None:
    assert column_of(name) == column
