"""The log of one run: threshold, masking, offsets, and a cap on how much it may say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from orchestrator.model.dispatch import SaidLine
from orchestrator.model.log import Level
from orchestrator.model.values import Json
from orchestrator.runtime.reaching import Known
from orchestrator.sdk import LogSink, RunLogger

OWN = 1 << 39  # where the offsets of lines begin that no job printed
PER_JOB_LINE = 4096  # log lines that one line of a job may become
MOST_LINES = 1_000_000

Head = Callable[[], Mapping[str, Json]]
"""Which dispatch speaks, now: task_run_id, execution_id, lease."""


class Speaker(Protocol):
    """Who takes what is said; a Reporter is one."""

    def say(self, head: Mapping[str, Json], line: SaidLine | None = None, metric: Mapping[str, Json] | None = None) -> None: ...


class RunLog(RunLogger):
    """Safe in threads. Offsets order the lines of a dispatch and make a job's lines the same whoever reads them again."""

    def __init__(self, speaker: Speaker, head: Head, known: Known, *, least: Level | None = None, most: int = MOST_LINES) -> None:
        self._speaker, self._head, self._known = speaker, head, known
        self._least = least.rank if least is not None else 0
        self._most, self._said = most, 0
        self._count = 0
        self._lock = threading.Lock()
        self._job_line = threading.local()  # set while a line of the job is being taken: its next offset and its time

    def log(self, level: Level, message: str) -> None:
        level = Level(level)
        if level.rank < self._least or not self._may_say():
            return
        at, offset = self._place()
        text = self._known.mask(str(message)).replace("\0", "\ufffd")
        self._speaker.say(self._head(), SaidLine.model_construct(at=at, level=level, message=text, offset=offset, thread=None))

    def pass_on(self, line: SaidLine) -> None:
        """Say a line that another process of this run has made, by the same threshold and with the same secrets masked."""
        if self._may_say():
            own = line.offset % (1 << 40) >= OWN  # it counted for itself: here is counted for all of the run
            self._speaker.say(self._head(), line.model_copy(update={"offset": self._own_offset()}) if own else line)

    def _may_say(self) -> bool:
        with self._lock:
            self._said += 1
            if self._said < self._most:
                return True
            last = self._said == self._most
        if last:
            text = f"The log of this task run has reached its limit of {self._most} lines: the rest is not kept"
            line = SaidLine.model_construct(at=datetime.now(UTC), level=Level.WARN, message=text, offset=self._own_offset(), thread=None)
            self._speaker.say(self._head(), line)
        return False

    def _place(self) -> tuple[datetime, int]:
        """The time and the offset of the line that is being said."""
        job = self._job_line
        offset: int | None = getattr(job, "offset", None)
        if offset is None:
            return datetime.now(UTC), self._own_offset()
        job.offset = offset + 1
        return job.at or datetime.now(UTC), offset

    def _own_offset(self) -> int:
        with self._lock:
            self._count += 1
            return (int(self._head()["lease"]) << 40) + OWN + self._count - 1

    def job_sink(self, said: LogSink, job_lease: int) -> LogSink:
        """A sink that passes a job's lines to `said`; what that logs meanwhile is placed by the job's own offset."""
        return _JobSink(self._job_line, said, job_lease << 40)

    def trace(self, message: str) -> None:
        self.log(Level.TRACE, message)

    def debug(self, message: str) -> None:
        self.log(Level.DEBUG, message)

    def info(self, message: str) -> None:
        self.log(Level.INFO, message)

    def warn(self, message: str) -> None:
        self.log(Level.WARN, message)

    def error(self, message: str) -> None:
        self.log(Level.ERROR, message)


class _JobSink(LogSink):
    def __init__(self, place: threading.local, said: LogSink, base: int) -> None:
        self._place, self._said, self._base = place, said, base

    def line(self, text: str, *, stderr: bool, offset: int, at: datetime | None = None) -> None:
        self._place.offset, self._place.at = self._base + offset * PER_JOB_LINE, at
        try:
            self._said.line(text, stderr=stderr, offset=offset, at=at)
        finally:
            self._place.offset = None
