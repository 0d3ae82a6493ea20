"""When failed work is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.retry import next_attempt
from orchestrator.model.flow import Retry

START = datetime(2026, 1, 1, tzinfo=UTC)


def _waits(attempts: int, chance: float = 0.5, **retry: Any) -> float | None:
    due = next_attempt(Retry.model_validate(retry), ended=START, attempts=attempts, first_started=START - timedelta(seconds=1), chance=chance)
    return None if due is None else (due - START).total_seconds()


def test_a_constant_retry_waits_its_interval() -> None:
    assert [_waits(n, type="constant", interval="PT2S") for n in (1, 2, 50)] == [2, 2, 2]


def test_an_exponential_retry_grows_up_to_its_bound() -> None:
    assert [_waits(n, type="exponential", interval="PT1S", maxInterval="PT5S") for n in (1, 2, 3, 4, 5000)] == [1, 2, 4, 5, 5]
    assert _waits(3, type="exponential", interval="PT1S", delayFactor=3) == 9


def test_a_random_retry_waits_between_its_bounds() -> None:
    assert [_waits(1, chance, type="random", minInterval="PT1S", maxInterval="PT3S") for chance in (0, 0.5)] == [1, 2]


@pytest.mark.parametrize("name", ["maxAttempts", "maxAttempt"])
def test_attempts_count_the_first_try(name: str) -> None:
    assert [_waits(n, type="constant", interval="PT1S", **{name: 3}) for n in (2, 3)] == [1, None]


def test_a_duration_bounds_the_time_from_the_first_start() -> None:
    assert _waits(1, type="constant", interval="PT2S", maxDuration="PT3.5S") == 2
    assert _waits(1, type="constant", interval="PT2S", maxDuration="PT3S") is None


def test_times_without_a_zone_are_refused() -> None:
    naive = START.replace(tzinfo=None)
    with pytest.raises(ValueError, match="aware"):
        next_attempt(Retry(type="constant"), ended=naive, attempts=1, first_started=naive, chance=0)


@given(st.sampled_from(["constant", "exponential", "random"]), st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_retry_is_never_before_the_end_of_the_last(kind: str, attempts: int, chance: float) -> None:
    waited = _waits(attempts, chance, type=kind, interval="PT1S", minInterval="PT0S", maxInterval="PT1H")
    assert waited is not None
    assert waited >= 0
