"""One dispatch on its way: from the moment it is taken until its outcome is saved and what it made is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.model.dispatch import Dispatch
from orchestrator.model.execution import Cause, PhaseName
from orchestrator.model.job import JobHandle
from orchestrator.model.values import Json, format_duration, format_instant
from orchestrator.runtime.guarding import Guarding
from orchestrator.runtime.isolated_run import IsolatedRun
from orchestrator.runtime.isolation import Isolation
from orchestrator.runtime.reaching import Known
from orchestrator.runtime.reporter import Reporter
from orchestrator.runtime.run_clock import RunClock
from orchestrator.runtime.run_log import RunLog
from orchestrator.runtime.spawner import Spawner
from orchestrator.runtime.stopping import Stopped, StopSignal
from orchestrator.runtime.task_work import Around, Means, TaskWork
from orchestrator.runtime.trigger_work import plugin_of
from orchestrator.sdk import TaskRunner

HEARD = 1.0  # seconds that a run may take to end by itself once its stop actions have run
UNSAID = 0.3  # seconds that an emit is waited for once its listener was told to stop
OVERSTAYS = (
    "This {noun} was told to stop and goes on: its type does not listen, and the thread that it runs in cannot be ended from outside. "
    "It ends by itself, or with its worker; until then {until}. (A type with `isolated = True` can be killed.)"
)


@dataclass(frozen=True)
class Place:
    """What all runs of a worker or supervisor share."""

    name: str
    reporter: Reporter
    spawner: Spawner
    means: Means
    isolation: Isolation | None  # None: there are no child processes here, all work is done in threads
    log_limit: int
    apart: Callable[[Callable[[], None]], None]  # does what may block on a thread apart
    guarding: Guarding


class Attempt:
    """One run of one task. `run` is called once, on a thread of its own; `stop` from any other."""

    def __init__(self, dispatch: Dispatch, place: Place, *, sealed: bool, ended: Callable[[Attempt], None], saved: Callable[[Attempt], None]) -> None:
        self.dispatch, self._place, self._sealed = dispatch, place, sealed
        self._ended, self._saved = ended, saved
        self.lease = dispatch.lease
        self.stopping = StopSignal()
        self.over = threading.Event()  # its outcome is queued
        self.overstays = False  # its thread goes on although it was told to stop
        self.clock: RunClock | None = None  # of its timeout, where it has one
        self._outcome: dict[str, Json] | None = None
        self._lock = threading.Lock()
        self._begun = self._is_kept = self._in_child = False
        self._thread_free = threading.Event()
        self._jobless = threading.Event()  # no job in hand: none may outlive the outcome
        self._jobless.set()
        self._afterwards: list[Callable[[], None]] = []
        self._guarded: list[str] = []  # keys of its jobs
        known = Known()
        self._emits = 0
        self._log = RunLog(place.reporter, self.head, known, least=dispatch.log_level, most=place.log_limit)
        self._around = Around(log=self._log, known=known, stop=self.stopping, reports=self, processes=place.spawner)

    def head(self) -> dict[str, Json]:
        """Who speaks in every report."""
        return {"task_run_id": self.dispatch.task_run_id, "execution_id": self.dispatch.execution_id, "lease": self.lease}

    def _report(self, kind: str, **facts: Json) -> dict[str, Json]:
        return {**self.head(), "at": format_instant(datetime.now(UTC)), "kind": kind, **facts}

    # --- the run itself

    def run(self) -> None:
        """Do the task and report its end. Raises nothing."""
        with self._lock:
            self._begun = self._outcome is None
        try:
            if not self._begun:
                return
            if not self.stopping:
                self._place.reporter.put(self._report("received", worker=self._place.name), soon=True)
                facts = self._tried()
            else:
                facts = self._stopped()
            self._clear()
            self._end(facts)
        finally:
            with self._lock:
                self._thread_free.set()
            self._ended(self)

    def _tried(self) -> dict[str, Json]:
        """The facts of the outcome."""
        work = self._isolated() or TaskWork(self.dispatch, self._place.means, self._around, sealed=self._sealed)
        facts = work.facts()
        return self._stopped() if self.stopping else facts

    def _isolated(self) -> IsolatedRun | None:
        """The work in a child process, when its type wants one."""
        isolation, dispatch, tasks = self._place.isolation, self.dispatch, self._place.means.tasks
        if isolation is None:
            return None
        try:
            kind = type(plugin_of(dispatch, tasks))
        except Exception:  # it is told where the work is done
            return None
        if not kind.isolated:
            return None
        self._in_child = True
        return IsolatedRun(isolation, dispatch, self._around, modules=(kind.__module__, *kind.preloads), sealed=self._sealed)

    @property
    def _is_task(self) -> bool:
        return self.dispatch.kind == "task"

    def _stopped(self) -> dict[str, Json]:
        """The outcome of a run that was told to stop, by what told it."""
        cause = self.stopping.cause or Cause.KILLED
        if cause is Cause.WORKER_SHUTDOWN:
            return {"state": "FAILED", "cause": cause, "error": "the worker shut down"}
        if cause is not Cause.TIMEOUT:
            return {"state": "KILLED", "cause": cause}
        limit, noun = self.dispatch.timeout, "task" if self._is_task else "evaluation"
        message = f"The {noun} has outlasted its timeout" + (f" of {format_duration(timedelta(seconds=limit))}" if limit else "")
        self._log.error(message)
        return {"state": "FAILED", "cause": Cause.TIMEOUT, "error": message}

    def _clear(self) -> None:
        """Processes go before the outcome, whatever it is: a run leaves nothing behind that still works."""
        for key in self._around.keys:
            self._place.spawner.stop(key, timedelta())

    # --- its end

    def _end(self, facts: dict[str, Json]) -> None:
        with self._lock:
            if self._outcome is not None:
                return  # reported already, as one that would not stop
            self._outcome = facts
        try:
            report = self._report("outcome", **facts)
            self._place.reporter.put(report, then=self._kept)
        except Exception as err:  # outputs that are no JSON: the run must still end
            self._outcome = {"state": "FAILED", "cause": Cause.EXCEPTION, "error": f"the outputs cannot be written as JSON: {err}"}
            self._place.reporter.put(self._report("outcome", **self._outcome), then=self._kept)
        self.over.set()

    def _kept(self) -> None:
        """The outcome is saved. What must follow may block: not on the reporter's thread."""
        with self._lock:
            if self._is_kept:
                return
            self._is_kept = True
        if self._afterwards or self._around.folders:
            self._place.apart(self._tidy)
        else:
            self._let_go()

    def _let_go(self) -> None:
        for key in self._guarded:
            self._place.guarding.release(key)
        self._saved(self)

    def _tidy(self) -> None:
        for action in reversed(self._afterwards):
            with suppress(Exception):  # what cannot be removed now is found by its labels later
                action()
        for key in self._around.folders:
            self._place.means.node.remove_working_dir(key)
        self._let_go()

    def renew(self, lease: int) -> None:
        """The same work under a newer lease: a dispatch of the same generation came again, or its stop."""
        with self._lock:
            if lease <= self.lease:
                return
            self.lease, outcome = lease, self._outcome
        if outcome is not None:
            self._place.reporter.put(self._report("outcome", **outcome), then=self._kept)

    def hand_over(self) -> None:
        """Let another place go on with it: this one says nothing more of it, and takes nothing away."""
        with self._lock:
            if self._outcome is not None:
                return  # it has ended, and says so
            self._outcome = {"state": "FAILED", "cause": Cause.WORKER_SHUTDOWN, "error": "its supervisor went elsewhere"}
            self._place.reporter.put(self._report("outcome", **self._outcome))
        self.over.set()

    def stop(self, cause: Cause) -> None:
        """Tell the run to stop and see to it; returns when it has, or when it overstays. Repeatable."""
        if not self.stopping.set(cause):
            return
        self.stopping.run_actions()
        if not self._begun:
            self._never_begin()
        elif not self._thread_free.wait(HEARD):
            rented = not self._jobless.is_set()
            self._jobless.wait()  # whatever was rented must be seen gone first
            if not (rented and self._thread_free.wait(HEARD)) and not self._in_child:
                self._overstay()

    def _never_begin(self) -> None:
        with self._lock:
            begun = self._begun
        if not begun:
            self._end(self._stopped())

    def _overstay(self) -> None:
        """It runs in a thread, which nothing can end from outside: the run is not over, whatever it is wanted to be."""
        with self._lock:
            if self._thread_free.is_set():
                return
            self.overstays = True
        noun, until = ("task", "its run goes on") if self._is_task else ("evaluation", "nothing else evaluates its trigger")
        self._log.warn(OVERSTAYS.format(noun=noun, until=until))

    # --- what its context may report (the Reports protocol)

    def lease_of_job(self) -> int:
        return self.dispatch.lease

    def phase(self, name: PhaseName, detail: str | None = None) -> None:
        if self.clock is not None:
            self.clock.reached(name)
        self._place.reporter.put(self._report("phase", name=name, detail=detail), soon=True)

    def metric(self, metric: Mapping[str, Json]) -> None:
        self._place.reporter.say(self.head(), metric=metric)

    def save_job(self, handle: JobHandle, *, wait: bool) -> None:
        ours = handle.model_copy(update={"place": self._place.name})
        ticket = self._place.reporter.put(self._report("job", handle=ours.model_dump(mode="json")))
        while wait and not ticket.wait(0.2):
            self.stopping.check()

    def forget_job(self) -> None:
        self._place.reporter.put(self._report("job", handle=None))

    def emit(self, variables: Mapping[str, Json]) -> None:
        with self._lock:  # they are told in the order of their numbers, whichever threads they come from
            self._emits += 1
            ticket = self._place.reporter.put(self._report("emitted", number=self._emits, variables=dict(variables)))
        while not ticket.wait(0.2):
            if self.stopping and not ticket.wait(UNSAID):
                raise Stopped("the listener was stopped before its emit was known to be saved")

    def guard(self, runner: TaskRunner, handle: JobHandle) -> None:
        self._place.guarding.hold(runner, handle)
        self._guarded.append(handle.key)

    def was_let_go(self, key: str) -> bool:
        return self._place.guarding.take_let_go(key)

    def afterwards(self, action: Callable[[], None]) -> None:
        self._afterwards.append(action)

    @contextmanager
    def holding(self) -> Iterator[None]:
        self._jobless.clear()
        try:
            yield
        finally:
            self._jobless.set()
