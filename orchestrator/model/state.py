"""The states of executions and task runs, and which may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, model_serializer, model_validator

from orchestrator.errors import IllegalTransition
from orchestrator.model.values import format_duration, format_instant


class State(StrEnum):
    """A word of the field for where an execution or a task run stands."""

    CREATED = "CREATED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    RETRYING = "RETRYING"
    KILLING = "KILLING"
    RESTARTED = "RESTARTED"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILED = "FAILED"
    KILLED = "KILLED"
    CANCELLED = "CANCELLED"
    RETRIED = "RETRIED"
    SKIPPED = "SKIPPED"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens in this state unless a person acts."""
        return self in ENDED

    @property
    def failed(self) -> bool:
        """Whether a parent counts this state as a failure of its child."""
        return self in FAILURES


S = State
ENDED = frozenset({S.SUCCESS, S.WARNING, S.FAILED, S.KILLED, S.CANCELLED, S.RETRIED, S.SKIPPED})
FAILURES = frozenset({S.FAILED, S.KILLED, S.CANCELLED})
_ENDINGS = frozenset({S.SUCCESS, S.WARNING, S.FAILED, S.KILLED, S.CANCELLED, S.SKIPPED})
_BY_HAND = frozenset({S.RESTARTED, S.SUCCESS, S.WARNING, S.FAILED, S.CANCELLED})

# CREATED may end at once: a disabled concurrency slot (CANCELLED, FAILED), a skipped task, a kill before the start.
# An ended state is left only by a person: restart, or a state set by hand.
NEXT: Mapping[State, frozenset[State]] = {
    S.CREATED: frozenset({S.QUEUED, S.RUNNING, S.PAUSED, S.KILLING}) | _ENDINGS,
    S.QUEUED: frozenset({S.RUNNING, S.KILLING, S.CREATED}) | _ENDINGS,
    S.RUNNING: frozenset({S.PAUSED, S.KILLING, S.RETRYING, S.RETRIED, S.RESTARTED}) | _ENDINGS,
    S.PAUSED: frozenset({S.RUNNING, S.KILLING, S.RESTARTED}) | _ENDINGS,
    S.RETRYING: frozenset({S.RUNNING, S.KILLING, S.CREATED}) | _ENDINGS,
    S.RESTARTED: frozenset({S.RUNNING, S.PAUSED, S.KILLING}) | _ENDINGS,
    S.KILLING: frozenset({S.KILLED, S.SUCCESS, S.WARNING, S.FAILED, S.CANCELLED}),
    S.SUCCESS: _BY_HAND,
    S.WARNING: _BY_HAND,
    S.FAILED: _BY_HAND | {S.RETRIED},
    S.KILLED: _BY_HAND,
    S.CANCELLED: _BY_HAND,
    S.RETRIED: frozenset(),
    S.SKIPPED: _BY_HAND,
}

# What a person may make of what has ended: it begins again, a leader goes on with what it leads, or it has ended otherwise.
SET_BY_HAND = frozenset({S.RESTARTED, S.RUNNING}) | _ENDINGS


class Step(BaseModel, frozen=True):
    """One entry of a history: the state entered, and when (aware UTC)."""

    state: State
    date: datetime


class Lifecycle(BaseModel, frozen=True):
    """The history of an execution, a task run or an attempt; it only grows.

    In JSON it also carries what follows from the history: `current`, `startDate`, `endDate`, `duration`.
    """

    histories: tuple[Step, ...]

    @classmethod
    def begin(cls, at: datetime, state: State = State.CREATED) -> Lifecycle:
        """A history of one entry."""
        return cls.model_construct(histories=(Step.model_construct(state=state, date=at),))

    @property
    def current(self) -> State:
        return self.histories[-1].state

    @property
    def start(self) -> datetime:
        return self.histories[0].date

    @property
    def last(self) -> datetime:
        """When the current state was entered."""
        return self.histories[-1].date

    @property
    def end(self) -> datetime | None:
        """When it ended or paused; None while it goes on."""
        return self.last if self.current.ended or self.current is State.PAUSED else None

    @property
    def duration(self) -> timedelta:
        return self.last - self.start

    def to(self, state: State, at: datetime) -> Lifecycle:
        """This history with one more entry. Raises IllegalTransition when `state` may not follow."""
        if state not in NEXT[self.current]:
            raise IllegalTransition(self.current, state)
        return self._with(state, at)

    def by_hand(self, state: State, at: datetime) -> Lifecycle:
        """This history with one more entry that a person asked for: what has ended goes on, or ends otherwise.

        Raises IllegalTransition when it has not ended yet, was followed by another (RETRIED), or `state` is none of these.
        """
        if not self.current.ended or self.current is State.RETRIED or state not in SET_BY_HAND:
            raise IllegalTransition(self.current, state)
        return self._with(state, at)

    def _with(self, state: State, at: datetime) -> Lifecycle:
        return Lifecycle.model_construct(histories=(*self.histories, Step.model_construct(state=state, date=max(at, self.last))))

    @model_serializer
    def _as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "current": self.current.value,
            "histories": [{"state": s.state.value, "date": format_instant(s.date)} for s in self.histories],
            "startDate": format_instant(self.start),
            "duration": format_duration(self.duration),
        }
        if self.end is not None:
            shown["endDate"] = format_instant(self.end)
        return shown

    @model_validator(mode="after")
    def _not_empty(self) -> Lifecycle:
        if not self.histories:
            raise ValueError("a history has at least one entry")
        return self
