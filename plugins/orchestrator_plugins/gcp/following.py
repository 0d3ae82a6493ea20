"""Watching a job to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from orchestrator.sdk import JobExit, LogSink, RunnerUnavailable, format_duration
from orchestrator_plugins.gcp.ends import end_of, lost, never_began
from orchestrator_plugins.gcp.facts import GOING, NOT_RUNNING_YET, JobFacts, nanoseconds_of
from orchestrator_plugins.gcp.lookout import EAGER, Inbox, Lookout
from orchestrator_plugins.gcp.reading import Reading

PATIENCE = 300.0  # seconds that the service may be away
HOLD = 1.0  # seconds that lines wait for those printed before them
EARLY = timedelta(minutes=1)  # before the job was made: clocks differ
T = TypeVar("T")


@dataclass(frozen=True)
class Pace:
    """How often to look, how long to wait for late lines, and how long for the command to begin."""

    look: timedelta
    late: timedelta
    bound: timedelta
    retries: bool  # the service runs it again itself: the wrapper's last words may not be the last

    @property
    def hold(self) -> float:
        return min(HOLD, self.late.total_seconds())


class Following:
    """One job's watch. `began` is called when the command runs, `give_up` before a job that never began is told of."""

    def __init__(self, lookout: Lookout, name: str, mark: str, pace: Pace, *, began: Callable[[], None], give_up: Callable[[], None]) -> None:
        self._lookout, self._name, self._mark, self._pace = lookout, name, mark, pace
        self._began, self._give_up = began, give_up
        self.reading: Reading | None = None

    def to_end(self, first: JobFacts, logs: LogSink) -> JobExit:
        """Pass on every line until the job has ended. Raises JobLost, StartFailed, TimedOut, and RunnerUnavailable when the service stays away."""
        self.reading = reading = Reading(logs, self._mark, self._pace.hold)
        inbox = self._lookout.opened(first.uid, nanoseconds_of(first.created - EARLY))
        try:
            ended = self._watched(inbox, reading)
            self._read_to_end(inbox, reading)
        finally:
            self._lookout.closed(inbox)
        details = {"jobName": ended.name, "jobUid": ended.uid}
        return end_of(ended, _patiently(partial(self._lookout.task_events, self._name)), reading, details)

    def _watched(self, inbox: Inbox, reading: Reading) -> JobFacts:
        answered, runs = time.monotonic(), False
        while True:
            try:
                facts = self._looked(self._eager if self._is_said(reading) else self._pace.look.total_seconds() * 0.9)
                if facts.state not in NOT_RUNNING_YET and not runs:
                    runs = True
                    self._began()
                if facts.has_ended:
                    return facts
                self._check_bound(facts)
                if self._is_said(reading):
                    time.sleep(self._eager)
                else:
                    self._listened(inbox, reading)
                answered = time.monotonic()
            except RunnerUnavailable:
                if time.monotonic() - answered > PATIENCE:
                    raise
                time.sleep(min(1.0, self._pace.look.total_seconds()))

    def _looked(self, max_age: float) -> JobFacts:
        facts = self._lookout.job(self._name, max_age)
        if facts is None or facts.state in GOING:
            raise lost(self._name, "is gone: it was removed by someone else")
        return facts

    def _check_bound(self, facts: JobFacts) -> None:
        if facts.state in NOT_RUNNING_YET and datetime.now(UTC) - facts.created > self._pace.bound:
            self._give_up()
            raise never_began(facts, format_duration(self._pace.bound))

    @property
    def _eager(self) -> float:
        return min(EAGER, self._pace.look.total_seconds()) * 0.9

    def _listened(self, inbox: Inbox, reading: Reading) -> None:
        """Pass on what is said until it is time to look again."""
        look_again = time.monotonic() + self._pace.look.total_seconds()
        while (left := look_again - time.monotonic()) > 0 and not self._is_said(reading):
            rung = self._lookout.hears(inbox, min(left, self._pace.hold) if reading.is_holding else left)
            if rung:
                self._read(inbox, reading)
            reading.say(time.monotonic())
        if not self._is_said(reading):
            self._read(inbox, reading)  # a bell may be missed

    def _read(self, inbox: Inbox, reading: Reading) -> None:
        self._lookout.read(self._eager)
        reading.take(inbox.taken(), time.monotonic())
        reading.say(time.monotonic())

    def _read_to_end(self, inbox: Inbox, reading: Reading) -> None:
        """All that was printed: until both streams have said that they ended, and a moment more for what came late."""
        until: float | None = None
        while True:
            _patiently(partial(self._lookout.read_on, inbox))
            reading.take(inbox.taken(), time.monotonic())
            now = time.monotonic()
            until = until or now + self._pace.late.total_seconds()
            if self._is_said(reading):
                until = min(until, now + self._pace.hold)
            if now >= until:
                return reading.end()
            reading.say(now)
            time.sleep(self._pace.hold / 2)

    def _is_said(self, reading: Reading) -> bool:
        """Whether nothing more can come."""
        return reading.is_complete and not self._pace.retries


def _patiently(call: Callable[[], T]) -> T:
    """What a call gives, over a service that may be away for a while."""
    begun = time.monotonic()
    while True:
        try:
            return call()
        except RunnerUnavailable:
            if time.monotonic() - begun > PATIENCE:
                raise
        time.sleep(1.0)
