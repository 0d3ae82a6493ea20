"""Secrets are taken out of text in every form they commonly take."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lang.expressions import Masker, mask

SECRET = 'p@ss "word"/+ü'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
    ],
)
def test_a_secret_is_masked_in_each_form(form: str) -> None:
    assert mask(f"before {form} after", [SECRET]) == "before ******** after"


def test_the_mask_says_nothing_of_the_secrets_length() -> None:
    assert mask("This is my secret: hunter2", ["hunter2"]) == "This is my secret: ********"
    assert mask("This is my secret: a", ["a"]).endswith(": ********")


def test_each_line_of_a_long_secret_is_masked_and_short_lines_are_not() -> None:
    key = "-----BEGIN-----\nAbCdEf\nxyz\n-----END-----\n"
    assert mask("AbCdEf and xyz", [key]) == "******** and xyz"


def test_the_longest_secret_wins() -> None:
    assert mask("password1", ["pass", "password1"]) == "********"


def test_nothing_is_masked_without_secrets() -> None:
    assert mask("text", ["", "  \n"][:1]) == "text"
    assert not Masker([])


@given(st.text(min_size=4, max_size=30).filter(lambda text: text.strip() == text), st.text(max_size=20), st.text(max_size=20))
def test_a_masked_text_never_holds_the_secret(secret: str, before: str, after: str) -> None:
    if "*" not in secret:
        assert secret not in mask(before + secret + after, [secret])
