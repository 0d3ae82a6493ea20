"""Slots that a group keeps for certain namespaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.capacity import share_of, who_may
from orchestrator.model.worker_group import Reserved, ReservedMode

PROD = Reserved(namespaces=("prod.*",), percent=40)
LENT = Reserved(namespaces=("prod.*",), percent=40, mode=ReservedMode.ELASTIC)


def _may(reserved: Reserved, namespace: str, used: dict[str, int], wanting: tuple[str, ...] = (), slots: int = 10) -> bool:
    return who_may((reserved,), slots, used, wanting)(namespace)


def test_a_strict_share_is_kept_also_while_nobody_wants_it() -> None:
    assert _may(PROD, "dev", {"dev": 5})
    assert not _may(PROD, "dev", {"dev": 6})
    assert _may(PROD, "prod.a", {"dev": 6})


def test_those_it_is_for_may_use_more_than_their_share() -> None:
    assert _may(PROD, "prod", {"prod": 9})
    assert not _may(PROD, "prod", {"prod": 10})


def test_what_they_hold_counts_for_their_share() -> None:
    assert _may(PROD, "dev", {"prod.a": 3, "dev": 5})
    assert not _may(PROD, "dev", {"prod.a": 3, "dev": 6})
    assert _may(PROD, "dev", {"prod.a": 5, "dev": 4})


def test_an_elastic_share_is_lent_until_one_of_them_stands_in_line() -> None:
    assert _may(LENT, "dev", {"dev": 9})
    assert not _may(LENT, "dev", {"dev": 9}, ("prod.a",))
    assert _may(LENT, "prod.a", {"dev": 9}, ("prod.a",))


def test_two_shares_are_kept_from_each_other() -> None:
    may = who_may((PROD, Reserved(namespaces=("ops",), percent=50)), 10, {"ops": 1}, ())
    assert (may("dev"), may("prod.a"), may("ops")) == (True, True, True)
    may = who_may((PROD, Reserved(namespaces=("ops",), percent=50)), 10, {"dev": 1, "ops": 4, "prod.a": 4}, ())
    assert (may("dev"), may("prod.a"), may("ops")) == (False, False, True)


@pytest.mark.parametrize(("percent", "slots", "share"), [(40, 10, 4), (1, 8, 1), (100, 8, 8), (50, 0, 0), (33, 10, 3)])
def test_a_share_is_rounded_down_but_to_one_slot_at_least(percent: int, slots: int, share: int) -> None:
    assert share_of(Reserved(namespaces=("a",), percent=percent), slots) == share


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 100), st.sampled_from(ReservedMode))
def test_nobody_may_while_no_slot_is_free_and_those_it_is_for_may_while_one_is(dev: int, prod: int, percent: int, mode: ReservedMode) -> None:
    may = who_may((Reserved(namespaces=("prod",), percent=percent, mode=mode),), 12, {"dev": dev, "prod": prod}, ("prod", "dev"))
    assert may("prod") is (dev + prod < 12)
    assert not may("dev") or dev + prod < 12
