"""When a place has surely stopped: what it held may not be sent elsewhere sooner."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.runtime.presence import LEASE, STALLED, SURELY, Presence


def test_a_place_told_lost_counts_from_when_it_was_last_heard_of() -> None:
    presence = Presence()
    presence.heard("w", 100.0)
    assert presence.silent("w", 109.0) == 100.0 + SURELY
    assert presence.stopped(111.9) == []
    assert presence.stopped(112.0) == ["w"]


def test_a_place_never_heard_of_counts_from_when_it_is_told_lost() -> None:
    presence = Presence()
    presence.silent("w", 50.0)
    assert (presence.stopped(61.0), presence.stopped(62.0)) == ([], ["w"])


def test_a_late_word_of_a_place_told_lost_does_not_bring_it_back() -> None:
    presence = Presence()
    presence.heard("w", 0.0)
    presence.silent("w", 5.0)
    presence.heard("w", 6.0)
    assert presence.stopped(SURELY) == ["w"]


def test_a_place_that_says_nothing_more_is_lost_without_being_told() -> None:
    presence = Presence()
    presence.heard("w", 0.0)
    for moment in range(1, 12):
        assert presence.stopped(float(moment)) == []
    assert presence.stopped(SURELY) == ["w"]


def test_what_came_late_because_nobody_listened_is_nobodys_silence() -> None:
    presence = Presence()
    presence.heard("w", 0.0)
    presence.stopped(1.0)
    assert presence.stopped(60.0) == [], "the loop stood still for a minute: the beats wait in front of it"
    for tick in range(1, 12):
        assert presence.stopped(60.0 + tick) == []
    assert presence.stopped(60.0 + SURELY) == ["w"]


def test_a_forgotten_place_is_not_told_again() -> None:
    presence = Presence()
    presence.heard("w", 0.0)
    presence.silent("w", 1.0)
    presence.forget("w")
    assert presence.stopped(100.0) == []


@given(st.lists(st.tuples(st.sampled_from(("heard", "silent", "look")), st.floats(0.0, STALLED - 0.1)), max_size=60))
def test_no_place_is_given_up_while_its_own_lease_may_still_run(events: list[tuple[str, float]]) -> None:
    """A beat that arrives was sent, and its lease renewed, no later; once the head takes a place for lost it renews none."""
    presence, now, renewed, is_lost = Presence(), 0.0, 0.0, False
    presence.heard("w", 0.0)
    for kind, pause in events:
        now += pause
        if kind == "heard":
            presence.heard("w", now)
            renewed = renewed if is_lost else now
        elif kind == "silent":
            is_lost = True
            presence.silent("w", now)
        elif presence.stopped(now):
            assert now >= renewed + LEASE
            return
