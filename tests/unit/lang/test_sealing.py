"""Sealed text opens with its own key only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import BadSettings
from orchestrator.lang.sealing import TYPE, Sealer, is_sealed

SEALER = Sealer(b"k" * 32)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens_as_it_was(text: str) -> None:
    assert SEALER.open(SEALER.seal(text)) == text


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert SEALER.seal("a") != SEALER.seal("a")


def test_another_key_opens_nothing() -> None:
    with pytest.raises(BadSettings, match="another key"):
        Sealer(b"x" * 32).open(SEALER.seal("a"))


@pytest.mark.parametrize("value", ["", "!", "AAAA", "A" * 80])
def test_damaged_text_is_refused(value: str) -> None:
    with pytest.raises(BadSettings):
        SEALER.open({"type": TYPE, "value": value})


def test_everything_sealed_within_a_value_is_opened() -> None:
    assert SEALER.open_all({"a": [SEALER.seal("x"), {"b": SEALER.seal("y")}], "c": 1}) == {"a": ["x", {"b": "y"}], "c": 1}


def test_only_sealed_text_counts_as_sealed() -> None:
    assert is_sealed(SEALER.seal("a"))
    assert not is_sealed({"type": TYPE})
    assert not is_sealed("a")


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(BadSettings):
        Sealer(b"short")
