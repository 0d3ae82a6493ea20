"""The life of one job: named and saved, started or adopted, watched, collected; removed once its end is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from typing import Protocol

from orchestrator.errors import OrchestratorError, RunnerUnavailable, StartFailed, TaskFailed, Unavailable
from orchestrator.model.execution import Cause
from orchestrator.model.job import Job, JobExit, JobHandle
from orchestrator.model.values import Json
from orchestrator.runtime.beginning import Beginning
from orchestrator.runtime.run_log import RunLog
from orchestrator.runtime.stopping import Stopped, StopSignal
from orchestrator.sdk import JobTools, LogSink, PhaseName, TaskRunner

GRACE = timedelta(seconds=5)  # between asking a job to end and forcing it
LONGEST_INSISTING = 600.0  # seconds
UNANSWERED = 3.0  # seconds for which a place that does not answer is asked again to start what it surely has not begun
SURELY = 60.0  # seconds for which a place is asked to let go of what it could not start
GONE = timedelta()  # the grace of a command that has not begun


class Ledger(Protocol):
    """Where a run keeps what must outlive it."""

    def save_job(self, handle: JobHandle, *, wait: bool) -> None:
        """Have a handle saved; with `wait` it is saved on return. Raises Stopped when the run is stopped meanwhile."""

    def forget_job(self) -> None:
        """Have the handle forgotten: whoever gets the run next begins it anew."""

    def afterwards(self, action: Callable[[], None]) -> None:
        """Call `action` once the run's outcome is saved."""

    def lease_of_job(self) -> int:
        """The lease under which a job that is made now prints its lines."""

    def guard(self, runner: TaskRunner, handle: JobHandle) -> None:
        """Watch a job from here on: one that only this machine reaches is ended by it, should the head lose it."""

    def was_let_go(self, key: str) -> bool:
        """Whether this machine has ended a job by itself while nobody watched it. Told once."""

    def holding(self) -> AbstractContextManager[None]:
        """Within it a job may exist: the run is not given up."""


class JobRun:
    """Runs one job. `adopted` is the handle that an earlier dispatch of the same generation had saved."""

    def __init__(self, runner: TaskRunner, job: Job, *, adopted: JobHandle | None, stop: StopSignal, ledger: Ledger, beginning: Beginning) -> None:
        self._runner, self._job, self._adopted, self._stop, self._ledger = runner, job, adopted, stop, ledger
        self._beginning, self._grace = beginning, GRACE

    def run(self, tools: JobTools, log: RunLog, said: LogSink) -> JobExit:
        """To the job's end. Raises Stopped when told to, once nothing of the job is left."""
        with self._ledger.holding():
            return self._run(tools, log, said)

    def _run(self, tools: JobTools, log: RunLog, said: LogSink) -> JobExit:
        self._stop.check()
        handle = self._named()
        self._stop.add(lambda: insist(lambda: self._runner.stop(handle, self._grace)))  # an engine may be away just then, and the job go on
        self._beginning.within(self._runner.start_bound(), lambda: insist(lambda: self._runner.stop(handle, GONE)))
        try:
            self._stop.check()
            self._ledger.guard(self._runner, handle)
            handle = self._started(handle, tools)
            self._beginning.check()
            ended = self._runner.wait(handle, log.job_sink(said, int(handle.details["lease"])))
            self._stop.check()
            self._beginning.check()
            if self._runner.reattaches:  # else its files are where they belong
                tools.phase(PhaseName.FILES_OUT)
            self._runner.collect(self._job, handle)
            self._stop.check()
        except BaseException as err:
            if not self._stop and isinstance(failed := self._failed_start(err), StartFailed):
                self._give_back(handle, failed)
                raise failed from (None if failed is err else err)
            self._let_go(handle)
            if self._stop and not isinstance(err, Stopped):
                raise Stopped("the run was stopped") from err  # what fails while its job is taken away is no failure of its own
            raise
        finally:
            self._beginning.close()
        self._ledger.afterwards(lambda: self._runner.remove(handle))
        return ended

    def _named(self) -> JobHandle:
        was_let_go = self._ledger.was_let_go(self._job.key)
        if self._adopted is not None and self._adopted.key == self._job.key and not was_let_go:
            self._ledger.save_job(self._adopted, wait=False)  # who watches it now
            return self._adopted
        handle = _noted(self._runner.prepare(self._job), {"lease": self._ledger.lease_of_job(), **self._price()})
        if self._runner.reattaches:  # what dies with this process need not be found again
            self._ledger.save_job(handle, wait=True)
        return handle

    def _price(self) -> Mapping[str, Json]:
        """What it will be priced by; nothing where that cannot be told just now: a job is not held up by its bill."""
        with suppress(OrchestratorError):
            if (price := self._runner.price_key(self._job)) is not None:
                return {"price": dict(price)}
        return {}

    def _started(self, handle: JobHandle, tools: JobTools) -> JobHandle:
        started = _noted(self._asked_to_start(handle, tools), _ours(handle))
        if not (self._runner.tells_running or tools.cancelled()):
            tools.phase(PhaseName.RUNNING)
        if self._runner.reattaches and started != handle:
            self._ledger.save_job(started, wait=False)
        return started

    def _asked_to_start(self, handle: JobHandle, tools: JobTools) -> JobHandle:
        """Starting is repeatable: a place that does not answer is asked again, the longer if a job of ours may run there."""
        pause, deadline = 0.2, time.monotonic() + (LONGEST_INSISTING if handle is self._adopted else UNANSWERED)
        while True:
            try:
                return self._runner.start(self._job, handle, tools)
            except RunnerUnavailable:
                if tools.cancelled() or time.monotonic() + pause > deadline:
                    raise
            self._stop.event.wait(pause)
            pause = min(5.0, pause * 2)

    def _failed_start(self, err: BaseException) -> BaseException:
        """What has really failed: whatever a place says once its time was over, it was the time."""
        try:
            self._beginning.check()
        except StartFailed as late:
            return late
        return err

    def _give_back(self, handle: JobHandle, failed: StartFailed) -> None:
        """The next start is another job: before it is made, nothing of this one may be left."""
        if self._runner.reattaches:  # who gets the run should this process die now must not look for what is taken away here
            self._ledger.save_job(_noted(self._runner.prepare(self._job), _ours(handle)), wait=False)
        try:
            insist(lambda: self._runner.stop(handle, GONE), within=SURELY)
            insist(lambda: self._runner.remove(handle), within=SURELY)
        except OrchestratorError as err:
            self._ledger.afterwards(lambda: self._runner.remove(handle))
            message = f"{failed.reason}; it is not started again, for whether something of it is left cannot be told: {err}"
            raise TaskFailed(message, cause=Cause.START_FAILED) from failed
        failed.climbs = self._runner.climbs(self._job.attempt)

    def _let_go(self, handle: JobHandle) -> None:
        """Nothing may go on after a stop or a failure. A failure keeps what is left to be looked at until it is saved."""
        if self._stop:
            insist(lambda: self._runner.stop(handle, self._grace))  # again: it may have been made after the first stop
            insist(lambda: self._runner.remove(handle))
            if self._runner.reattaches and self._stop.cause is Cause.WORKER_SHUTDOWN:
                self._ledger.forget_job()  # it goes on elsewhere, with a job of its own
            return
        with suppress(OrchestratorError):
            self._runner.stop(handle, self._grace)
        self._ledger.afterwards(lambda: self._runner.remove(handle))


def _noted(handle: JobHandle, ours: Mapping[str, Json]) -> JobHandle:
    """A runner's handle with what we note on it."""
    return handle.model_copy(update={"details": {**handle.details, **ours}})


def _ours(handle: JobHandle) -> Mapping[str, Json]:
    """What we had noted on a handle."""
    return {name: handle.details[name] for name in ("lease", "price") if name in handle.details}


def insist(action: Callable[[], None], *, within: float = LONGEST_INSISTING) -> None:
    """Do it, and again while its place does not answer, for at most so many seconds: what is shown as gone must be gone."""
    pause, deadline = 0.1, time.monotonic() + within
    while True:
        try:
            return action()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(5.0, pause * 2)
