"""What Google's services say of a job, in our own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
GOING = frozenset({"DELETION_IN_PROGRESS"})
NOT_RUNNING_YET = frozenset({"STATE_UNSPECIFIED", "QUEUED", "SCHEDULED"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """Something that happened to a job or to its task. `code` is the exit code where the event tells one."""

    at: datetime
    said: str
    code: int | None = None


@dataclass(frozen=True)
class JobFacts:
    """A job as the service describes it. `name` is its full resource name."""

    name: str
    uid: str
    state: str
    created: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Event, ...] = ()

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    def last_word(self) -> str:
        """The service's last words on it, or its state."""
        return self.events[-1].said if self.events else f"the job is {self.state}"


@dataclass(frozen=True)
class Part:
    """Which part of a line an entry holds, of one that was too long for one entry."""

    uid: str
    index: int
    total: int


@dataclass(frozen=True)
class Entry:
    """A log entry. Times are nanoseconds since 1970; `received` is when the service took it in."""

    at: int
    id: str
    job: str
    text: str
    stderr: bool
    received: int
    part: Part | None = None

    @property
    def key(self) -> tuple[int, str]:
        """What sorts entries, and tells one from another."""
        return self.at, self.id


def time_of(nanoseconds: int) -> datetime:
    """As a datetime, to the microsecond."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def nanoseconds_of(at: datetime) -> int:
    """The other way round."""
    return round((at - _EPOCH) / timedelta(microseconds=1)) * 1000


def stamp(nanoseconds: int) -> str:
    """As filters of Cloud Logging want it, with all nine decimals."""
    whole, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
