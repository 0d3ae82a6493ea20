"""When failed work is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.model.flow import Retry, RetryKind

_NONE = timedelta()


def next_attempt(retry: Retry, *, ended: datetime, attempts: int, first_started: datetime, chance: float) -> datetime | None:
    """When the task may run again, or None when its retries are spent.

    `ended` is the end of the last attempt, `first_started` the start of the first, both aware; `attempts` counts the
    ended ones, from 1. `chance` in [0, 1) places a random wait between its bounds. `maxDuration` runs from the first
    start: a try that could only begin at its end or later is not made. Source: conformance cases, tag `retry`.
    """
    if ended.tzinfo is None or first_started.tzinfo is None:
        raise ValueError("a retry is counted from aware times")
    if retry.max_attempts and attempts >= retry.max_attempts:
        return None
    due = ended + _wait(retry, attempts, chance)
    if retry.max_duration is not None and due >= first_started + retry.max_duration:
        return None
    return due


def _wait(retry: Retry, attempts: int, chance: float) -> timedelta:
    match retry.type:
        case RetryKind.CONSTANT:
            return retry.interval or _NONE
        case RetryKind.EXPONENTIAL:
            return _growing(retry, attempts)
        case RetryKind.RANDOM:
            least, most = retry.min_interval or _NONE, retry.max_interval or retry.min_interval or _NONE
            return least + (most - least) * chance


def _growing(retry: Retry, attempts: int) -> timedelta:
    first, most = retry.interval or _NONE, retry.max_interval
    try:
        wait = first * retry.delay_factor ** (attempts - 1)
    except OverflowError:
        wait = most or timedelta.max / 4
    return wait if most is None else min(wait, most)
